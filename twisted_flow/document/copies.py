"""Documents of one's own: nothing that is done to a copy, down to its arrays, shows in the original."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET, Struct, StructMeta, UnsetType
from msgspec.structs import astuple

from .array import DocumentArray
from .fields import Graph, NamedScore, NamedScores
from .ndarray import Buffer, DenseNdArray, NdArray, SparseNdArray
from .values import Tags

if TYPE_CHECKING:
    from .document import Document

__all__ = ["copied", "copied_one"]

_FIXED = frozenset((str, int, float, bool, bytes, type(None), UnsetType))
"""The types of values that cannot be changed."""

_STRUCTS = frozenset((NdArray, DenseNdArray, SparseNdArray, Graph, NamedScore))
_RELATIVES = ("_chunks", "_matches")
T = TypeVar("T", bound=Struct)
_made: Any = StructMeta.__call__  # no second look at values that were looked at
_shallow: Any = Struct.__copy__  # type: ignore[attr-defined]


def copied(documents: Iterable[Document]) -> DocumentArray:
    """A copy of each of *documents*."""
    return DocumentArray(map(copied_one, documents))


def copied_one(document: Document) -> Document:
    """A copy of *document*: an eighth of what ``copy.deepcopy`` takes for the like."""
    if type(document) is not DocumentArray.document_type:
        return _struct(document)  # of a class of a user's own
    (
        identity, granularity, adjacency, parent, text, buffer, blob, uri, graph, chunks, weight, matches, mime_type,
        tags, location, offset, embedding, scores, modality, evaluations,
    ) = astuple(document)  # fmt: skip
    twin: Document = _made(
        DocumentArray.document_type,
        identity,
        granularity,
        adjacency,
        parent,
        text,
        buffer,
        blob if blob is UNSET else _value(blob),
        uri,
        graph if graph is UNSET else _value(graph),
        list(map(copied_one, chunks)) if chunks else [],
        weight,
        list(map(copied_one, matches)) if matches else [],
        mime_type,
        _dict(tags) if tags else {},
        [*location],
        offset,
        embedding if embedding is None else _value(embedding),
        _dict(scores) if scores else {},
        modality,
        _dict(evaluations) if evaluations else {},
    )
    return twin


def _dict(values: dict[str, Any]) -> dict[str, object]:
    """A plain one: what it holds is looked at when somebody asks the document for it."""
    twin = dict(values)
    for name, item in values.items():
        if type(item) not in _FIXED:
            twin[name] = _value(item)
    return twin


def _value(value: Any) -> object:
    kind = type(value)
    if kind is dict:
        return _dict(value)
    if kind is list:
        twin = value[:]
        for position, item in enumerate(value):
            if type(item) not in _FIXED:
                twin[position] = _value(item)
        return twin
    if kind is NdArray and type(value.dense) is DenseNdArray:
        return NdArray(_dense(value.dense))
    if kind in _FIXED:
        return value
    if kind is Tags or kind is NamedScores:
        return _dict(value)
    if kind is memoryview or kind is bytearray:
        return _octets(value)
    return _struct(value) if kind in _STRUCTS else copy.deepcopy(value)  # or whatever else a user put in


def _struct(value: T) -> T:
    twin: T = _shallow(value)
    for name in value.__struct_fields__:
        item = getattr(value, name)
        setattr(twin, name, list(map(copied_one, item)) if name in _RELATIVES else _value(item))
    return twin


def _dense(array: DenseNdArray) -> DenseNdArray:
    twin: DenseNdArray = _shallow(array)
    twin.shape = array.shape[:]
    if type(array.buffer) is not bytes:
        twin.buffer = _octets(array.buffer)
    return twin


def _octets(buffer: Buffer) -> Buffer:
    """The same, where nobody can change it; else a copy."""
    if type(buffer) is bytes or (type(buffer) is memoryview and type(buffer.obj) is bytes):
        return buffer
    return bytearray(buffer)
