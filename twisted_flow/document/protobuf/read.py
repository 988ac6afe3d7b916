"""Documents from protobuf messages, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import msgspec
from msgspec import UNSET

from ..document import Document, Graph
from ..fields import NamedScore, plain_score
from ..ndarray import DenseNdArray, NdArray, SparseNdArray
from .descriptor import Message, message

__all__ = ["DocumentProto", "blank", "read_dense", "read_messages", "read_struct", "whole"]

DocumentProto = message("jina.DocumentProto")

blank = partial(msgspec.StructMeta.__call__, Document)
"""A Document whose constructor is not asked."""
_MOST = 2.0**53


def read_messages(protos: Iterable[object]) -> list[Document]:
    """The documents that *protos* describe; not yet held to the rules (see `check.complete`)."""
    return [_read(proto) for proto in protos]


def _read(proto: Message) -> Document:
    document: Document = blank()
    for field, value in proto.ListFields():
        slot, convert = _READERS[field.number]
        setattr(document, slot, value if convert is None else convert(value))
    return document


def read_struct(proto: Message) -> dict[str, object]:
    """What a protobuf Struct says; whole numbers within ±2^53 as ints."""
    return {name: _read_value(value) for name, value in proto.fields.items()}


def whole(number: float) -> int | float:
    """*number* as an int, if it is one within ±2^53."""
    return int(number) if number.is_integer() and -_MOST <= number <= _MOST else number


def _read_value(proto: Message) -> object:
    kind = proto.WhichOneof("kind")
    if kind == "number_value":
        return whole(proto.number_value)
    if kind == "string_value":
        return proto.string_value
    if kind == "struct_value":
        return read_struct(proto.struct_value)
    if kind == "list_value":
        return [_read_value(value) for value in proto.list_value.values]
    return proto.bool_value if kind == "bool_value" else None


def read_dense(proto: Message) -> DenseNdArray:
    """The array that *proto*, a DenseNdArrayProto, describes."""
    dense = DenseNdArray(proto.buffer, list(proto.shape), proto.dtype)
    if proto.quantization:
        dense.quantization, dense.scale = proto.quantization, proto.scale
        dense.max_val, dense.min_val = proto.max_val, proto.min_val
    if proto.original_dtype:
        dense.original_dtype = proto.original_dtype
    return dense


def _read_sparse(proto: Message) -> SparseNdArray:
    return SparseNdArray(read_dense(proto.indices), read_dense(proto.values), list(proto.shape))


def _read_array(proto: Message) -> NdArray | None:
    form = proto.WhichOneof("content")
    if form == "dense":
        return NdArray(dense=read_dense(proto.dense))
    return NdArray(sparse=_read_sparse(proto.sparse)) if form == "sparse" else None


def _read_blob(proto: object) -> object:
    array = _read_array(proto)
    return UNSET if array is None else array


def _read_graph(proto: Message) -> Graph:
    adjacency = _read_sparse(proto.adjacency) if proto.HasField("adjacency") else None
    return Graph(adjacency, read_struct(proto.edge_features), proto.undirected)


def _read_score(proto: Message) -> NamedScore:
    operands = [_read_score(operand) for operand in proto.operands]
    return plain_score(proto.value, proto.op_name, proto.description, operands, proto.ref_id)


def _read_scores(protos: Message) -> dict[str, NamedScore]:
    return {name: _read_score(protos[name]) for name in protos}


_CONVERTED: dict[str, Callable[[Message], object]] = {
    "blob": _read_blob,
    "chunks": read_messages,
    "embedding": _read_array,
    "evaluations": _read_scores,
    "graph": _read_graph,
    "location": list,
    "matches": read_messages,
    "scores": _read_scores,
    "tags": read_struct,
}
_SLOTS = {slot.lstrip("_"): slot for slot in Document.__struct_fields__}
_READERS: dict[int, tuple[str, Callable[[object], object] | None]] = {
    field.number: (_SLOTS[field.name], _CONVERTED.get(field.name)) for field in DocumentProto.DESCRIPTOR.fields
}
