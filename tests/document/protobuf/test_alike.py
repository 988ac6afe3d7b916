"""Documents that are laid out alike are read as each would be by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.document.protobuf.plain import PLAIN
from tests.envelopes import by_hand, by_protobuf
from tests.support import request
from twisted_flow import Document
from twisted_flow.codec.envelope import RequestProto
from twisted_flow.codec.protobuf import decode_request, encode_request
from twisted_flow.document.ndarray import DenseNdArray, NdArray
from twisted_flow.errors import ValidationError
from twisted_flow.limits import Limits


@st.composite
def runs(draw: Any) -> list[Document]:
    """Documents with ids of one length and arrays of one kind, and sometimes another among them."""
    count, length = draw(st.integers(2, 5)), draw(st.integers(1, 130))
    values = np.arange(count * 2).reshape(count, 2).astype(draw(st.sampled_from(["<f4", "<i8", "|u1"])))
    documents = [Document(id=f"{n}".rjust(length, "ä"), embedding=values[n]) for n in range(count)]
    if draw(st.booleans()):
        documents.insert(draw(st.integers(0, count)), draw(PLAIN))
    return documents


@given(runs())
def test_runs(documents: list[Document]) -> None:
    """Each has what is its own, and an array of its own."""
    body = encode_request(request(*documents))
    assert by_hand(body) == by_protobuf(body)
    read = decode_request(body, None, Limits()).docs
    assert read == documents
    for document in read:
        if document.embedding is not None and document.embedding.ndim:
            document.embedding[...] = 0
    assert decode_request(body, None, Limits()).docs == documents


@settings(max_examples=500)
@given(runs(), st.data())
def test_broken(documents: list[Document], data: st.DataObject) -> None:
    """The same with a byte that is another, that is missing, or one too many: what protobuf makes of it."""
    body = encode_request(request(*documents))
    at = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(
        st.binary(max_size=2) | st.sampled_from([b"\0", bytes([body[at] ^ 1]), bytes([body[at] + 1 & 255]), b"\xff"])
    )
    broken = body[:at] + other + body[at + 1 :]
    assert by_hand(broken) == by_protobuf(broken)


def test_many() -> None:
    """What a large message looks like."""
    documents = [
        Document(id=f"d{n}", embedding=np.full(768, n, "<f4"), tags={"odd": 1} if n == 50 else {}) for n in range(99)
    ]
    read = decode_request(encode_request(request(*documents)), None, Limits()).docs
    assert read == documents
    assert [document.embedding[767] for document in read] == list(range(99))


def test_without_ids() -> None:
    """Each gets one of its own."""
    parts = [Document(embedding=np.full(3, n, "<f4")) for n in range(5)]
    for part in parts:
        part.id = ""
    read = decode_request(encode_request(request(*parts)), None, Limits()).docs
    assert len({document.id for document in read} - {""}) == 5


def test_wrong_arrays() -> None:
    """Where all are wrong in one way, the first is named."""

    def document(n: int, side: int) -> Document:
        made = Document(id=f"d{n}")
        made._embedding = NdArray(DenseNdArray(b"12345678", [side], "<f4"))
        return made

    right, wrong_ones = [document(n, 2) for n in range(2)], [document(n, 3) for n in range(3)]
    with pytest.raises(ValidationError) as wrong:
        decode_request(encode_request(request(*right, *wrong_ones)), None, Limits())
    assert wrong.value.errors[0].pointer == "/data/docs/2/embedding"


def test_the_frame_of_another_message() -> None:
    """What is like an array that was read before, and not like the one before it, is held to the rules all the same."""
    wrong = [Document(id=f"d{n}") for n in range(3)]
    for document in wrong:
        document._embedding = NdArray(DenseNdArray(b"x" * 20, [10], "<f4"))
    one = RequestProto.FromString(encode_request(request(*wrong)))
    one.data.docs[0].embedding.dense.Clear()
    dense = one.data.docs[0].embedding.dense
    dense.buffer, dense.dtype, dense.quantization = b"x" * 18, "<f2", 1  # of the same size in all
    dense.shape.append(9)
    sizes = {each.embedding.ByteSize() for each in one.data.docs}
    assert len(sizes) == 1
    for body in (encode_request(request(*wrong)), one.SerializeToString()):
        with pytest.raises(ValidationError):
            decode_request(body, None, Limits())
