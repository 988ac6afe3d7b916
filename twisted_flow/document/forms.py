"""A document in other forms: dicts, JSON, protobuf. Each function is a method of `Document`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

import msgspec

from . import plain, spelling
from .check import complete_one
from .late import protobuf
from .outgoing import settled, wrong_place
from .values import Unsayable

if TYPE_CHECKING:
    from .document import Document

__all__ = [
    "as_dict",
    "as_json",
    "content_hash",
    "fields_of",
    "from_dict",
    "from_json",
    "from_protobuf",
    "non_empty_fields",
    "pop",
    "to_dict",
    "to_json",
    "to_protobuf",
    "update",
]


def to_dict(document: Document) -> dict[str, Any]:
    """All fields under their JSON names, in JSON's types.

    :raises TypeError: naming the field that it cannot.
    """
    _settle(document)
    return cast(dict[str, Any], plain.to_builtins(document))


def to_json(document: Document) -> str:
    """The document as it stands in an answer over HTTP. See `to_dict`."""
    _settle(document)
    return plain.to_json(document).decode()


def _settle(document: Document) -> None:
    try:
        settled([document])
    except Unsayable as error:
        raise TypeError("{}: {}".format(*(wrong_place(document, "") or ("", str(error))))) from None


def non_empty_fields(document: Document) -> tuple[str, ...]:
    """The names of the fields that are not empty, in alphabetical order."""
    blank = type(document)()
    names = [name for name in document.__struct_fields__ if getattr(document, name) != getattr(blank, name)]
    return tuple(sorted(name.lstrip("_") for name in names))


def content_hash(document: Document) -> str:
    """A digest (16 hex digits) of all fields but id, parent, chunks and matches."""
    twin = document.__copy__()
    twin._id = twin._parent_id = ""
    twin._chunks, twin._matches = [], []
    return blake2b(plain.to_bytes(twin), digest_size=8).hexdigest()


def as_dict(document: Document, prettify_ndarrays: bool = False) -> dict[str, Any]:
    """The fields that are not empty, under their Python names, in JSON's types.

    :param prettify_ndarrays: whether arrays are nested lists, in place of their bytes.
    """
    said = to_dict(document)
    there = {f"_{name}" for name in non_empty_fields(document)}
    names = [name.lstrip("_") for name in document.__struct_fields__ if name in there]  # in the wire's order
    fields = {name: said[spelling.camel(name)] for name in names}
    for name in {"blob", "embedding"} & fields.keys() if prettify_ndarrays else ():
        fields[name] = getattr(document, name).tolist()
    return fields


def as_json(document: Document, prettify_ndarrays: bool = False) -> str:
    """See `as_dict`."""
    return msgspec.json.encode(as_dict(document, prettify_ndarrays)).decode()


def pop(document: Document, *names: str) -> None:
    """Reset the fields called *names* to their defaults."""
    blank = type(document)()
    for name in names:
        setattr(document, f"_{name}", getattr(blank, f"_{name}"))


def update(document: Document, source: Document, fields: Iterable[str] | None = None) -> None:
    """Copy fields of *source* to *document*; its own tags stay beside those of *source*.

    :param fields: which fields; None: all that are not empty.
    """
    twin = source.__deepcopy__({})
    for name in non_empty_fields(source) if fields is None else fields:
        value = getattr(twin, name)
        setattr(document, name, {**document.tags, **value} if name == "tags" else value)


def to_protobuf(document: Document) -> object:
    """The document as a ``jina.DocumentProto``."""
    return protobuf().to_message(document)


def from_dict(cls: type[Document], fields: dict[str, object]) -> Document:
    """The document that *fields* describe, in any spelling that HTTP takes.

    :raises ValidationError: naming the field that is wrong.
    """
    try:
        document = msgspec.convert(spelling.canonical_document(fields, cls.__struct_encode_fields__), cls)
    except msgspec.ValidationError as error:
        raise spelling.located(error, fields) from None
    complete_one(document, "")
    return document


def fields_of(cls: type[Document], source: Mapping[str, object], known: Container[str]) -> dict[str, object]:
    """The fields that *source*, a dict that a program wrote, names in either case; its other keys are tags.

    :param known: the fields that there are.
    """
    fields: dict[str, Any] = {}
    own: dict[str, object] = {}
    for key, value in source.items():
        name = key if key in known else spelling.snake(str(key))
        if name in known:
            fields[name] = value
        else:
            own[key] = value
    for relatives in ("chunks", "matches"):
        if isinstance(fields.get(relatives), list | tuple):
            fields[relatives] = [cls(each) if isinstance(each, dict) else each for each in fields[relatives]]
    if own:
        fields["tags"] = own | dict(fields.get("tags") or {})
    return fields


def from_json(cls: type[Document], text: str | bytes) -> Document:
    """The document that JSON describes. See `from_dict`.

    :raises ValueError: if that is not JSON.
    """
    return from_dict(cls, msgspec.json.decode(text, type=dict[str, Any]))


def from_protobuf(cls: type[Document], proto: object) -> Document:
    """The document that a ``jina.DocumentProto`` describes.

    :raises ValidationError: naming the field that is wrong.
    """
    document = cast("Document", protobuf().from_message(proto))
    complete_one(document, "")
    return document
