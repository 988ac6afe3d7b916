"""A document in other forms: dicts, JSON, protobuf. Each function is a method of `Document`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from . import plain, spelling
from .check import complete_one
from .late import protobuf
from .outgoing import settled, wrong_place
from .values import Unsayable

if TYPE_CHECKING:
    from .document import Document

__all__ = ["from_dict", "from_json", "from_protobuf", "to_dict", "to_json", "to_protobuf"]


def to_dict(document: Document) -> dict[str, Any]:
    """All fields under their JSON names, in what JSON can say.

    :raises TypeError: naming the place of what it cannot.
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
