"""Documents as protobuf messages, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from .descriptor import message
from .document import Document, Graph
from .fields import NamedScore
from .ndarray import DenseNdArray, NdArray, SparseNdArray

__all__ = ["DocumentArrayProto", "DocumentProto", "read", "read_struct", "write", "write_all", "write_struct"]

DocumentProto = message("jina.DocumentProto")
DocumentArrayProto = message("jina.DocumentArrayProto")

_blank = partial(msgspec.StructMeta.__call__, Document)  # a Document whose constructor is not asked
_MOST = 2.0**53


def read(protos: Iterable[Any]) -> list[Document]:
    """The documents that *protos* describe; not yet held to the rules (see `check.complete`)."""
    return [_read(proto) for proto in protos]


def _read(proto: Any) -> Document:
    document: Document = _blank()
    for field, value in proto.ListFields():
        slot, convert = _READERS[field.number]
        setattr(document, slot, value if convert is None else convert(value))
    return document


def read_struct(proto: Any) -> dict[str, Any]:
    """What a protobuf Struct says; whole numbers within ±2^53 as ints."""
    return {name: _read_value(value) for name, value in proto.fields.items()}


def _read_value(proto: Any) -> Any:
    kind = proto.WhichOneof("kind")
    if kind == "number_value":
        number: float = proto.number_value
        return int(number) if number.is_integer() and -_MOST <= number <= _MOST else number
    if kind == "string_value":
        return proto.string_value
    if kind == "struct_value":
        return read_struct(proto.struct_value)
    if kind == "list_value":
        return [_read_value(value) for value in proto.list_value.values]
    return proto.bool_value if kind == "bool_value" else None


def _read_dense(proto: Any) -> DenseNdArray:
    dense = DenseNdArray(bytearray(proto.buffer), list(proto.shape), proto.dtype)
    if proto.quantization:
        dense.quantization, dense.scale = proto.quantization, proto.scale
        dense.max_val, dense.min_val = proto.max_val, proto.min_val
    if proto.original_dtype:
        dense.original_dtype = proto.original_dtype
    return dense


def _read_sparse(proto: Any) -> SparseNdArray:
    return SparseNdArray(_read_dense(proto.indices), _read_dense(proto.values), list(proto.shape))


def _read_array(proto: Any) -> NdArray | None:
    form = proto.WhichOneof("content")
    if form == "dense":
        return NdArray(dense=_read_dense(proto.dense))
    return NdArray(sparse=_read_sparse(proto.sparse)) if form == "sparse" else None


def _read_blob(proto: Any) -> Any:
    array = _read_array(proto)
    return UNSET if array is None else array


def _read_graph(proto: Any) -> Graph:
    adjacency = _read_sparse(proto.adjacency) if proto.HasField("adjacency") else None
    return Graph(adjacency, read_struct(proto.edge_features), proto.undirected)


def _read_score(proto: Any) -> NamedScore:
    operands = [_read_score(operand) for operand in proto.operands]
    return NamedScore(proto.value, proto.op_name, proto.description, operands, proto.ref_id)


def _read_scores(protos: Any) -> dict[str, NamedScore]:
    return {name: _read_score(protos[name]) for name in protos}


_CONVERTED: dict[str, Callable[[Any], Any]] = {
    "blob": _read_blob,
    "chunks": read,
    "embedding": _read_array,
    "evaluations": _read_scores,
    "graph": _read_graph,
    "location": list,
    "matches": read,
    "scores": _read_scores,
    "tags": read_struct,
}
_SLOTS = {slot.lstrip("_"): slot for slot in Document.__struct_fields__}
_READERS: dict[int, tuple[str, Callable[[Any], Any] | None]] = {
    field.number: (_SLOTS[field.name], _CONVERTED.get(field.name)) for field in DocumentProto.DESCRIPTOR.fields
}


def write(document: Document) -> Any:
    """The ``DocumentProto`` that describes *document*.

    :raises TypeError: if there is something in its tags that cannot travel.
    :raises ValueError: if a number does not fit its field.
    """
    proto = DocumentProto(**_plain_fields(document))
    _write_rest(document, proto)
    return proto


def write_all(documents: Iterable[Document], protos: Any) -> None:
    """Add what describes *documents* to *protos*, a repeated field. See `write`."""
    for document in documents:
        _write_rest(document, protos.add(**_plain_fields(document)))


def _plain_fields(document: Document) -> dict[str, Any]:
    """The fields that are plain values: set all at once, at a third of the price."""
    fields: dict[str, Any] = {"id": document.id}
    if document._text is not UNSET:
        fields["text"] = document._text
    elif document._buffer is not UNSET:
        fields["buffer"] = document._buffer
    elif document._uri is not UNSET:
        fields["uri"] = document._uri
    if document.mime_type:
        fields["mime_type"] = document.mime_type
    if (
        document.granularity
        or document.adjacency
        or document.parent_id
        or document.weight
        or document.offset
        or document.modality
    ):
        fields.update((name, value) for name in _SCALARS if (value := getattr(document, name)))
    return fields


def _write_rest(document: Document, proto: Any) -> None:
    if document._blob is not UNSET:
        _write_array(document._blob, proto.blob)
    elif document._graph is not UNSET:
        _write_graph(document._graph, proto.graph)
    if document.tags:
        write_struct(document.tags, proto.tags)
    if document._embedding is not None:
        _write_array(document._embedding, proto.embedding)
    if document.location:
        proto.location.extend(document.location)
    if document._chunks:
        write_all(document._chunks, proto.chunks)
    if document._matches:
        write_all(document._matches, proto.matches)
    if document._scores:
        _write_scores(document._scores, proto.scores)
    if document._evaluations:
        _write_scores(document._evaluations, proto.evaluations)


def _write_scores(scores: dict[str, NamedScore], protos: Any) -> None:
    for key, score in scores.items():
        _write_score(score, protos[key])


_SCALARS = ("granularity", "adjacency", "parent_id", "weight", "offset", "modality")


def write_struct(values: dict[str, Any], proto: Any) -> None:
    """Have *proto*, an empty Struct, say *values*."""
    proto.SetInParent()
    for name, value in values.items():
        _write_value(value, proto.fields[name])


def _write_value(value: Any, proto: Any) -> None:
    if hasattr(value, "tolist"):  # numpy's
        value = value.tolist()
    if value is None:
        proto.null_value = 0
    elif isinstance(value, bool):
        proto.bool_value = value
    elif isinstance(value, int | float):
        proto.number_value = value
    elif isinstance(value, str):
        proto.string_value = value
    elif isinstance(value, dict):
        write_struct(value, proto.struct_value)
    elif isinstance(value, list | tuple):
        proto.list_value.SetInParent()
        for item in value:
            _write_value(item, proto.list_value.values.add())
    else:
        raise TypeError(f"objects of type {type(value).__name__} cannot travel")


def _write_dense(dense: DenseNdArray, proto: Any) -> None:
    proto.SetInParent()
    proto.buffer = bytes(dense.buffer)
    proto.shape.extend(dense.shape)
    proto.dtype = dense.dtype
    if dense.quantization:
        proto.quantization, proto.scale = dense.quantization, dense.scale
        proto.max_val, proto.min_val = dense.max_val, dense.min_val
    if dense.original_dtype:
        proto.original_dtype = dense.original_dtype


def _write_sparse(sparse: SparseNdArray, proto: Any) -> None:
    _write_dense(sparse.indices, proto.indices)
    _write_dense(sparse.values, proto.values)
    proto.shape.extend(sparse.shape)


def _write_array(array: Any, proto: Any) -> None:
    if array.dense is not UNSET:
        _write_dense(array.dense, proto.dense)
    elif array.sparse is not UNSET:
        _write_sparse(array.sparse, proto.sparse)


def _write_graph(graph: Graph, proto: Any) -> None:
    proto.SetInParent()
    proto.undirected = graph.undirected
    if graph.adjacency is not None:
        _write_sparse(graph.adjacency, proto.adjacency)
    if graph.edge_features:
        write_struct(graph.edge_features, proto.edge_features)


def _write_score(score: NamedScore, proto: Any) -> None:
    proto.SetInParent()
    proto.value = score.value
    for name in ("op_name", "description", "ref_id"):
        if value := getattr(score, name):
            setattr(proto, name, value)
    for operand in score.operands:
        _write_score(operand, proto.operands.add())
