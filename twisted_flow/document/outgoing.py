"""Outgoing documents: values converted to JSON's types, nesting checked, and the position of what cannot be encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct

from ..errors import ExecutorError, FieldError
from ..limits import MAX_DEPTH
from .spelling import on_the_wire
from .values import SCALARS, Tags, Unsayable, escaped, key_text, plain_dict, plain_value, too_deep

if TYPE_CHECKING:
    from .document import Document

__all__ = ["not_encoded", "settled", "wrong_message", "wrong_place"]

_SAID = ("tags", "edgeFeatures")  # the fields that hold whatever JSON can say


def settled(documents: Sequence[Document], level: int = 1) -> None:
    """Convert all that a program may have put into *documents* to JSON's types, in place.

    :param level: how many levels of documents there are with these.
    :raises Unsayable: if JSON cannot say something, or it is nested too deep; `wrong_place` finds where that is.
    """
    for document in documents:
        tags = document._tags
        # What nobody has looked at is as it came.
        if type(tags) is Tags and tags and not SCALARS.issuperset(map(type, tags.values())):
            document._tags = plain_dict(tags)
        if document._graph is not UNSET:
            document._graph.edge_features = plain_dict(document._graph.edge_features)
        if document._chunks or document._matches:
            if level >= MAX_DEPTH:
                raise too_deep()
            settled(document._chunks, level + 1)
            settled(document._matches, level + 1)


def wrong_place(value: object, pointer: str, level: int = 0, documents: int = 0) -> tuple[str, str] | None:
    """The first part of *value*, which stands at *pointer*, that no message can have, and what is wrong with it.

    Slow. None where there is no such thing.

    :param level: how many levels of lists and dicts *value* lies deep in its document.
    :param documents: in how many levels of documents.
    """
    if max(level, documents) > MAX_DEPTH:
        return pointer, too_deep().detail
    if isinstance(value, Struct):
        fields = [(on_the_wire(name), getattr(value, name)) for name in value.__struct_fields__]
        said = [(name, item) for name, item in fields if name in _SAID and isinstance(item, dict)]
        return _first_unsayable(said, pointer) or _first_wrong(fields, pointer, 0, documents + 1)
    if isinstance(value, Mapping):
        try:
            return _first_wrong([(key_text(key), item) for key, item in value.items()], pointer, level + 1, documents)
        except Unsayable as raised:
            return pointer, raised.detail
    if isinstance(value, list | tuple):
        items = [(str(position), item) for position, item in enumerate(value)]
        return _first_wrong(items, pointer, level + 1, documents)
    if value is UNSET or value is None or isinstance(value, bytes | bytearray | memoryview):
        return None
    try:
        said = plain_value(value, pointer)
        if isinstance(said, str):
            said.encode()
        elif isinstance(said, int):
            float(said)
    except Unsayable as raised:
        return raised.pointer, raised.detail
    except (ValueError, OverflowError) as error:
        return pointer, str(error)
    return None


def _first_wrong(
    items: Iterable[tuple[str, object]], pointer: str, level: int, documents: int
) -> tuple[str, str] | None:
    for name, item in items:
        wrong = wrong_place(name, pointer) or wrong_place(item, f"{pointer}/{escaped(name)}", level, documents)
        if wrong is not None:
            return wrong
    return None


def _first_unsayable(items: Iterable[tuple[str, Any]], pointer: str) -> tuple[str, str] | None:
    for name, item in items:
        try:
            plain_dict(item, f"{pointer}/{name}")
        except Unsayable as error:
            return error.pointer, error.detail
    return None


def wrong_message(docs: object, groundtruths: object, parameters: object) -> tuple[str, str] | None:
    """The same for a whole message: parameters, documents, groundtruths."""
    found = wrong_place(docs, "/data/docs", -1) or wrong_place(groundtruths, "/data/groundtruths", -1)
    return found or _first_unsayable([("parameters", parameters)], "") or wrong_place(parameters, "/parameters")


def not_encoded(what: str, raised: Exception, docs: object, groundtruths: object, parameters: object) -> ExecutorError:
    """The error for a message, called *what*, that an encoder refused by raising *raised*; it names the field, if that
    can be found.
    """
    error, found = ExecutorError(f"{what} cannot be encoded"), None
    with suppress(Exception):  # whatever a user's objects do: the answer is an answer
        found = wrong_message(docs, groundtruths, parameters)
    if found is not None:
        where = FieldError(*found)
        error = ExecutorError(f"{error.detail}: {where.pointer}: {where.detail}", errors=(where,))
    error.__cause__ = raised
    return error
