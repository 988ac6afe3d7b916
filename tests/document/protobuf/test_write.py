"""Documents written by hand are messages that protobuf reads, and writes the same."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from tests.documents import TAGS, documents
from twisted_flow import Document
from twisted_flow.document import NamedScore
from twisted_flow.document.ndarray import DenseNdArray, NdArray
from twisted_flow.document.protobuf.descriptor import message
from twisted_flow.document.protobuf.read import DocumentProto, read_messages, read_struct
from twisted_flow.document.protobuf.struct import write_struct
from twisted_flow.document.protobuf.write import write_document


@given(documents())
def test_documents(document: Document) -> None:
    """Any document; in the order of the numbers, nothing too much: as long as what protobuf writes."""
    body = write_document(document)
    proto = DocumentProto.FromString(body)
    assert read_messages([proto]) == [document]
    assert len(proto.SerializeToString()) == len(body)


@given(TAGS)
def test_struct(values: dict[str, Any]) -> None:
    """Tags."""
    assert read_struct(message("google.protobuf.Struct").FromString(write_struct(values))) == values


def test_quantized() -> None:
    """An array with all that there is to say of one."""
    dense = DenseNdArray(b"\0\x80\xff", [3], "|u1", 2, 1.5, -1.5, 0.25, "<f8")
    (again,) = read_messages([DocumentProto.FromString(write_document(Document(embedding=NdArray(dense=dense))))])
    assert again._embedding == NdArray(dense=dense)


@pytest.mark.parametrize(
    "array",
    [np.arange(12).reshape(3, 4).T, np.arange(12)[::2], np.float32(3), np.zeros((0, 3)), [[1, 2], [3, 4]], True],
)
def test_arrays(array: Any) -> None:
    """Whatever numpy makes an array of: transposed, with steps, a single number, empty."""
    (again,) = read_messages([DocumentProto.FromString(write_document(Document(embedding=array)))])
    np.testing.assert_array_equal(again.embedding, np.asarray(array))


def test_scores() -> None:
    """Infinities are; a score beyond 32 bits is none that can be assigned."""
    document = Document(scores={"a": NamedScore(inf, "x", "d", [NamedScore(-inf)], "r")}, weight=-inf)
    proto = DocumentProto.FromString(write_document(document))
    assert (proto.scores["a"].value, proto.scores["a"].operands[0].value) == (float("inf"), float("-inf"))
    assert proto.weight == float("-inf")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"granularity": -1}, ValueError),
        ({"offset": 2**32}, ValueError),
        ({"location": [1, -1]}, ValueError),
        ({"adjacency": 1.5}, TypeError),
        ({"mime_type": 3}, TypeError),
        ({"text": "\ud800"}, ValueError),
        ({"buffer": "text"}, TypeError),
        ({"tags": {"a": object()}}, TypeError),
        ({"tags": {None: "a"}}, TypeError),
        ({"tags": {"a": {(1, 2): 2}}}, TypeError),
        ({"tags": {"a": 10**400}}, OverflowError),
        ({"weight": "much"}, TypeError),
        ({"weight": 1e300}, ValueError),
    ],
)
def test_cannot_travel(fields: dict[str, Any], error: type[Exception]) -> None:
    """What protobuf has no room for is refused."""
    with pytest.raises(error):
        write_document(Document(**fields))


def test_numpy_among_tags() -> None:
    """Numpy's numbers and arrays in tags are numbers and lists."""
    tags = {"a": np.float32(0.5), "b": np.arange(3), "c": [np.int64(4)], "d": True, "e": None}
    again = read_struct(DocumentProto.FromString(write_document(Document(tags=tags))).tags)
    assert again == {"a": 0.5, "b": [0, 1, 2], "c": [4], "d": True, "e": None}
