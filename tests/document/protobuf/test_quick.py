"""Documents read by hand are what protobuf's own reader reads, whatever the bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.document.protobuf.plain import PLAIN, told
from tests.documents import TAGS, documents
from twisted_flow import Document
from twisted_flow.document.copies import copied
from twisted_flow.document.protobuf.quick import read_document, read_parameters
from twisted_flow.document.protobuf.read import DocumentProto, read_messages
from twisted_flow.document.protobuf.struct import write_struct
from twisted_flow.document.protobuf.write import write_document


def by_protobuf(body: bytes) -> Document | None:
    try:
        return read_messages([DocumentProto.FromString(body)])[0]
    except DecodeError:
        return None


def by_hand(body: bytes) -> Document | None:
    try:
        return read_document(body, 0, len(body))
    except DecodeError:
        return None


def alike(body: bytes) -> None:
    assert told(by_hand(body)) == told(by_protobuf(body))


@given(documents())
def test_documents(document: Document) -> None:
    """Any document."""
    alike(write_document(document))
    assert by_hand(write_document(document)) == document


@settings(max_examples=500)
@given(PLAIN, st.data())
def test_broken(document: Document, data: st.DataObject) -> None:
    """Any document, with a byte that is another, that is missing, or one too many."""
    body = write_document(document)
    at = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(
        st.binary(max_size=2) | st.sampled_from([b"\0", b"\1", bytes([body[at] ^ 1]), bytes([body[at] + 1 & 255])])
    )
    alike(body[:at] + other + body[at + 1 :])


@settings(max_examples=200)
@given(PLAIN, PLAIN)
def test_twice(document: Document, other: Document) -> None:
    """Two documents in one: protobuf merges them, of the contents the last one counts."""
    alike(write_document(document) + write_document(other))


@given(st.binary(max_size=60))
def test_garbage(body: bytes) -> None:
    """Any bytes."""
    alike(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\x8a\x00\x02d1",  # a tag with a byte too many
        b"\x0a\x82\x00d1",  # a size with a byte too many
        b"\x0a\x02\xc3\x28",  # not UTF-8
        b"\x70\xff\xff\xff\xff\x0f",  # granularity, as large as it may be
        b"\x70\xff\xff\xff\xff\x7f",  # and larger: cut off
        b"\x70\x81\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x22\x04\x0a\x01ip\x01",  # a chunk whose last number stands behind it
        b"\x0a\x02d1\xc2\x06\x01x",  # a field that nobody knows
        b"\x5a\x04\x0a\x02\x0a\x00",  # a tag without a value
        b"\x5a\x06\x0a\x04\x12\x02\x08\x00",  # without a name
        b"\x5a\x08\x0a\x06\x12\x02\x08\x00\x0a\x00",  # the other way round
        b"\x5a\x09\x0a\x07\x0a\x01a\x12\x02\x08\x00" * 2,  # the same one twice
        b"\x5a\x09\x0a\x07\x0a\x01a\x12\x02\x08\x00\x5a\x09\x0a\x07\x0a\x01b\x12\x02\x08\x00",  # tags in two fields
        b"\x5a\x12\x0a\x10\x0a\x01a\x12\x0b\x11\0\0\0\0\0\0\xf0\x3f\x08\x00",  # a number that is null after all
        b"\x5a\x0c\x0a\x0a\x0a\x01a\x12\x02\x08\x00\x0a\x01b",  # a name after the value
        b"\x5a\x0a\x0a\x08\x0a\x01a\x12\x00\x1a\x01x",  # nothing, and behind it what looks like a string
        b"\x5a\x0d\x0a\x0b\x0a\x01a\x12\x06\x1a\x01x\x1a\x01y",  # a string that is another after all
        b"\x9a\x01\x06\x0a\x02\x0a\x00\x12\x00",  # a dense array that is a sparse one after all
        b"\x9a\x01\x00",  # no array at all
        b"\x9a\x01\x02\x0a\x00",  # an empty one
        b"\x9a\x01\x0b\x0a\x09\x0a\x04abcd\x10\x02\x10\x02",  # its shape in two fields, not packed
    ],
)
def test_odd(body: bytes) -> None:
    """What nobody writes, but may."""
    alike(body)


def test_size_of_more_than_two_bytes() -> None:
    """Texts, arrays and chunks of any length."""
    for length in (127, 128, 16383, 16384, 2_100_000):
        document = Document("x" * length, embedding=np.arange(length % 10_000), chunks=[Document(b"y" * length)])
        body = write_document(document)
        assert by_hand(body) == document
        alike(body)


def test_arrays_of_one_size() -> None:
    """Arrays of as many bytes, but other kinds and shapes, are not taken for each other."""
    arrays = [np.arange(6, dtype="<f4"), np.arange(6, dtype="<i4"), np.arange(6, dtype="<f4").reshape(2, 3)]
    for array in (*arrays, *arrays):
        again = by_hand(write_document(Document(embedding=array)))
        assert again is not None
        assert (again.embedding.dtype, again.embedding.shape) == (array.dtype, array.shape)
        again.embedding[...] = 0  # each has numbers of its own


def test_large_arrays() -> None:
    """They are not copied before somebody looks at them, unless a document would keep a far larger message alive."""
    array = np.arange(100_000, dtype="|u1")
    large = Document(blob=array)
    body = write_document(large)

    def numbers(document: Document) -> Any:
        return document._blob.dense.buffer  # type: ignore[union-attr]

    read = read_document(body, 0, len(body))
    assert type(numbers(read)) is memoryview
    assert write_document(read) == body
    (twin,) = copied([read])
    assert numbers(twin) is numbers(read)
    read.blob[0] = 1
    assert (read.blob[0], twin.blob[0], twin == large) == (1, 0, True)
    assert type(numbers(read_document(body + bytes(100 * len(body)), 0, len(body)))) is bytes


@pytest.mark.parametrize("levels", [60, 90, 5000])
def test_deep(levels: int) -> None:
    """Nesting is bounded, as it is by protobuf."""
    body = b""
    for _ in range(levels):
        size, varint = len(body), bytearray()
        while size > 127:
            varint.append(size & 127 | 128)
            size >>= 7
        body = b"\x22" + bytes([*varint, size]) + body
    hand, protobuf = by_hand(body), by_protobuf(body)
    assert (hand is None, protobuf is None) == (levels > 100, levels > 100)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b"\x0a\x07\x0a\x01a\x12\x02\x08\x48", {"a": None}),  # a null that is not 0
        (b"\x0a\x05\x0a\x01a\x12\x00", {"a": None}),  # nothing at all
        (b"\x0a\x03\x0a\x01a", {"a": None}),  # not even a value
    ],
)
def test_odd_struct(body: bytes, values: dict[str, Any]) -> None:
    """Values that nobody writes, but may."""
    assert read_parameters(body, 0, len(body)) == values


@given(TAGS)
def test_struct(values: dict[str, Any]) -> None:
    """Tags."""
    body = write_struct(values)
    assert read_parameters(body, 0, len(body)) == values
