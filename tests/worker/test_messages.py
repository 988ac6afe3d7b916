"""Calls, answers and failures, as they travel to a process and back."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import documents
from tests.support import request
from twisted_flow import Document, DocumentArray
from twisted_flow.errors import ExecutorError, FieldError, FlowError, QueueFull, ValidationError
from twisted_flow.executor.call import error_of
from twisted_flow.message import Request, Response
from twisted_flow.wire.frames import FrameReader
from twisted_flow.worker.messages import (
    read_answer,
    read_call,
    read_failure,
    write_answer,
    write_call,
    write_failure,
)
from twisted_flow.worker.raised import pickled, unpickled


def travelled(pieces: list[Any]) -> tuple[memoryview, list[memoryview]]:
    """Body and arrays, behind the pipe."""
    kept: list[tuple[memoryview, list[memoryview]]] = []
    reader = FrameReader(lambda kind, call, body, arrays: kept.append((memoryview(bytes(body)), arrays)))
    reader.feed(b"".join(pieces))
    return kept[0]


def call(asked: Request) -> Request:
    return read_call(*travelled(write_call(1, asked)))[0]


@given(st.lists(documents(), max_size=3), st.lists(documents(0), max_size=2))
def test_any_documents(docs: list[Document], truths: list[Document]) -> None:
    """Documents arrive as they were, and stay as they were here."""
    before = [msgspec.msgpack.encode(each) for each in docs]
    asked = request(*docs, groundtruths=DocumentArray(truths), parameters={"k": [1, {"a": None}]}, endpoint="/e")
    read = call(asked)
    assert (read.docs, read.groundtruths, read.parameters) == (asked.docs, asked.groundtruths, asked.parameters)
    assert (read.request_id, read.header.exec_endpoint) == ("r1", "/e")
    answered = read_answer(asked, *travelled(write_answer(1, Response(asked, asked.docs, asked.groundtruths, []))))
    assert (answered.docs, answered.groundtruths, answered.parameters) == (
        asked.docs,
        asked.groundtruths,
        asked.parameters,
    )
    assert [msgspec.msgpack.encode(each) for each in docs] == before


def test_large_arrays() -> None:
    """They travel beside the body, at any depth; one that stands in two documents arrives in both, each on its own."""
    shared = Document.take(np.arange(3000.0))
    inner = Document(id="c", blob=np.arange(2000, dtype="i4"))
    docs = [Document(id="a", embedding=shared, chunks=[inner]), Document(id="b"), Document(id="d", embedding=shared)]
    docs.append(Document(id="e", embedding=np.ones(5)))
    pieces = write_call(1, request(*docs))
    assert len(pieces[0]) < 2000
    read = call(request(*docs)).docs
    assert list(read) == docs
    read[0].embedding[0] = 99
    assert read[2].embedding[0] == 0
    assert docs[0].embedding[0] == 0
    assert read[0].chunks[0].blob.tolist() == list(range(2000))


def test_more_arrays_than_a_frame_has() -> None:
    """Those beyond stay in the body."""
    docs = [Document(id=str(n), embedding=np.full(512, n)) for n in range(4100)]
    assert list(call(request(*docs)).docs) == docs


def test_branches() -> None:
    """Those that stand apart stay so; arrays and all."""
    matrix = [DocumentArray([Document(id="a", embedding=np.full(1000, n))]) for n in range(2)]
    asked = request(*matrix[0], docs_matrix=matrix, groundtruths_matrix=[DocumentArray(), DocumentArray()])
    read = call(asked)
    assert read.docs_matrix == matrix
    assert read.groundtruths_matrix == [[], []]


class Odd(Exception):
    """Cannot be made from what it is pickled as."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("both")


def failed(error: BaseException) -> FlowError:
    return read_failure(travelled(write_failure(1, error_of(error, "e")))[0])


def test_failures() -> None:
    """What a method raises arrives as the same error, with its cause, its traceback and the line that raised it."""
    try:
        raise Odd(1, 2)
    except Odd as raised:
        error = failed(raised)
    assert type(error) is ExecutorError
    assert (error.detail, error.executor) == ("executor 'e' raised Odd", "e")
    cause: Any = error.__cause__
    assert (type(cause).__name__, str(cause)) == ("Odd", "both")
    assert "raise Odd(1, 2)" in cause.trace
    assert cause.location[0] == __file__
    full = failed(QueueFull("busy", retry_after=2.5, errors=(FieldError("/a", "b"),)))
    assert type(full) is QueueFull
    assert (full.retry_after, full.retryable, full.errors) == (2.5, True, (FieldError("/a", "b"),))
    assert failed(ValidationError.at("/parameters/k", "is no number")).errors[0].pointer == "/parameters/k"


def test_commands_that_raise() -> None:
    """The very exception arrives if it can be pickled, and the same name and text if not; the traceback is behind it."""
    for raised in (ValueError("no model"), Odd(1, 2)):
        try:
            raise raised
        except Exception as error:
            read = unpickled(pickled(error))
        assert type(read).__name__ == type(raised).__name__
        assert str(read) == str(raised)
        elsewhere: Any = read.__cause__ or read
        assert "raise raised" in elsewhere.trace
    assert type(unpickled(pickled(ValueError("x")))) is ValueError


def test_large_numbers() -> None:
    """Whole numbers beyond 64 bits stay exact, as in JSON."""
    docs = [Document(id="a", embedding=np.arange(2000.0)), Document(id="b", embedding=[1.5])]
    docs[0].tags.update({"n": 2**70, "deep": [{"m": -(10**40)}], "f": 1.5, "s": 2**63})
    read = call(request(*docs, parameters={"k": 10**30}))
    assert list(read.docs) == docs
    assert read.parameters == {"k": 10**30}


def test_what_cannot_travel() -> None:
    """An object of a user's in tags is an error that names the field."""
    document = Document()
    document.tags["k"] = object()
    with pytest.raises(Exception, match="object"):
        call(request(document))
