"""What travels between a server and an executor's process: calls and answers as msgpack, large arrays beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import UNSET, Struct

from ..document import Document, DocumentArray
from ..document.ndarray import DenseNdArray, NdArray
from ..document.outgoing import not_encoded
from ..document.values import plain_value
from ..errors import ExecutorError, FieldError, FlowError, error_named
from ..message import Header, Parameters, Request, Response
from ..telemetry.elsewhere import raised_elsewhere
from ..telemetry.tracebacks import told_elsewhere
from ..wire.frames import MOST_ARRAYS, Piece, frame

__all__ = [
    "ANSWER", "CALL", "CANCEL", "COMMAND", "DONE", "FAILED", "LOG", "MORE", "PART", "RAISED",
    "Told", "not_sendable", "read_answer", "read_call", "read_failure", "read_more", "read_part", "read_told",
    "write_answer", "write_call", "write_failure", "write_more", "write_part", "write_told",
]  # fmt: skip

CALL, CANCEL, COMMAND = 1, 2, 3
"""Kinds of frames to the process. A command is 'open', 'warm_up', 'check_health' or 'close'."""
ANSWER, FAILED, DONE, RAISED, LOG = 4, 5, 6, 7, 8
"""Kinds of frames from it: of calls, of commands, and a line for the log."""
PART, MORE = 9, 10
"""A part of an answer, from it, or of a request, to it (whose last one DONE follows, or FAILED); and, the other way, by
how much of `AHEAD` those that were taken make room again."""

_LARGE = 1  # msgpack's kind of extension for whole numbers beyond 64 bits, as their digits
_LEAST = 4096  # bytes of an array that travels beside the body

Documents = list[Document]


class _Call(Struct, array_like=True):
    request_id: str
    endpoint: str
    docs: Documents
    groundtruths: Documents
    parameters: Parameters
    deadline: float | None
    principal: str | None
    docs_matrix: Sequence[Documents] | None
    groundtruths_matrix: Sequence[Documents] | None
    stream: bool
    parts: bool
    """Whether more of its documents follow."""
    trace: tuple[str, str]
    """``traceparent`` and ``tracestate``."""
    order: list[int]
    """Which array each document without its own has, by number; empty: in their order."""


class _Answer(Struct, array_like=True):
    docs: Documents
    groundtruths: Documents
    parameters: Parameters
    order: list[int]


class _Part(Struct, array_like=True):
    docs: Documents
    cost: int
    order: list[int]


class _Failure(Struct, array_like=True):
    name: str
    detail: str
    errors: tuple[FieldError, ...]
    retry_after: float | None
    retryable: bool
    executor: str
    raised: tuple[str, str, str, tuple[str, int]] | None
    """See `told_elsewhere`."""


class Told(Struct, array_like=True):
    """A record of `logging`."""

    level: int
    logger: str
    text: str


def _read_large(kind: int, digits: memoryview) -> int:
    return int(bytes(digits))


_encode = msgspec.msgpack.Encoder(enc_hook=plain_value).encode
_decode_call = msgspec.msgpack.Decoder(_Call, ext_hook=_read_large).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer, ext_hook=_read_large).decode
_decode_part = msgspec.msgpack.Decoder(_Part, ext_hook=_read_large).decode
_decode_failure = msgspec.msgpack.Decoder(_Failure).decode
_decode_told = msgspec.msgpack.Decoder(Told).decode


def write_call(number: int, request: Request) -> list[Piece]:
    """The frame of a call.

    :raises Unsayable: if there is something in it that no message can have; or TypeError, or OverflowError.
    """
    header = request.header
    message = _Call(
        request.request_id, header.exec_endpoint, request.docs, request.groundtruths, request.parameters,
        request.deadline, request.principal, request.docs_matrix, request.groundtruths_matrix, request.stream,
        request.parts is not None, (request.traceparent, request.tracestate), [],
    )  # fmt: skip
    lists = [request.docs]
    if request.groundtruths:
        lists.append(request.groundtruths)
    if request.docs_matrix:  # the first list is `docs` itself, joined, or empty
        lists += request.docs_matrix
    return _frame(CALL, number, message, lists)


def read_call(body: memoryview, arrays: list[memoryview]) -> tuple[Request, bool]:
    """The request of a call, and whether more of its documents follow."""
    message = _decode_call(body)
    if arrays:
        lists = [message.docs, message.groundtruths, *(message.docs_matrix or ())]
        _give_back(arrays, message.order, lists)
    matrix, truths = message.docs_matrix, message.groundtruths_matrix
    request = Request(
        request_id=message.request_id,
        header=Header(message.endpoint),
        docs=DocumentArray(message.docs),
        groundtruths=DocumentArray(message.groundtruths),
        parameters=message.parameters,
        deadline=message.deadline,
        principal=message.principal,
        docs_matrix=None if matrix is None else [DocumentArray(docs) for docs in matrix],
        groundtruths_matrix=None if truths is None else [DocumentArray(docs) for docs in truths],
        stream=message.stream,
        traceparent=message.trace[0],
        tracestate=message.trace[1],
    )
    return request, message.parts


def write_answer(number: int, response: Response) -> list[Piece]:
    """The frame of an answer. See `write_call`."""
    message = _Answer(response.docs, response.groundtruths, response.parameters, [])
    lists = [response.docs, response.groundtruths] if response.groundtruths else [response.docs]
    return _frame(ANSWER, number, message, lists)


def read_answer(request: Request, body: memoryview, arrays: list[memoryview]) -> Response:
    """The response to *request*."""
    message = _decode_answer(body)
    if arrays:
        _give_back(arrays, message.order, [message.docs, message.groundtruths])
    if message.groundtruths or message.parameters:
        truths = DocumentArray(message.groundtruths)
        request = msgspec.structs.replace(request, groundtruths=truths, parameters=message.parameters)
    return Response(request, DocumentArray(message.docs), request.groundtruths, [])


def write_part(number: int, docs: DocumentArray, cost: int) -> list[Piece]:
    """The frame of a part of an answer. See `write_call`."""
    return _frame(PART, number, _Part(docs, cost, []), [docs])


def read_part(body: memoryview, arrays: list[memoryview]) -> tuple[DocumentArray, int]:
    """The documents of a part, and what it costs."""
    message = _decode_part(body)
    if arrays:
        _give_back(arrays, message.order, [message.docs])
    return DocumentArray(message.docs), message.cost


def write_more(number: int, taken: int) -> list[Piece]:
    """The frame that tells what has been taken."""
    return frame(MORE, number, taken.to_bytes(8, "little"))


def read_more(body: memoryview) -> int:
    """What has been taken."""
    return int.from_bytes(body, "little")


def not_sendable(raised: Exception, message: Request | Response, what: str) -> ExecutorError:
    """The error for *what*, which is *message*, over which an encoder raised *raised*. See `not_encoded`."""
    return not_encoded(what, raised, message.docs, message.groundtruths, message.parameters)


def write_failure(number: int, error: FlowError) -> list[Piece]:
    """The frame of a call that failed: what is told of *error* to callers, and to the log."""
    cause = error.__cause__
    raised = None if cause is None else told_elsewhere(cause)
    message = _Failure(
        error.name, error.detail, error.errors, error.retry_after, error.retryable, error.executor, raised
    )
    return frame(FAILED, number, _encode(message))


def read_failure(body: memoryview) -> FlowError:
    """The error of a call that failed."""
    message = _decode_failure(body)
    error = error_named(
        message.name, message.detail, errors=message.errors, retry_after=message.retry_after,
        retryable=message.retryable, executor=message.executor,
    )  # fmt: skip
    if message.raised is not None:
        error.__cause__ = raised_elsewhere(*message.raised)
    return error


def write_told(told: Told) -> list[Piece]:
    """The frame of a record for the log."""
    return frame(LOG, 0, _encode(told))


def read_told(body: memoryview) -> Told:
    """A record for the log."""
    return _decode_told(body)


def _frame(kind: int, number: int, message: _Call | _Answer | _Part, lists: Sequence[Documents]) -> list[Piece]:
    apart: list[tuple[DenseNdArray, Piece]] = []
    for docs in lists:
        _take_apart(docs, apart, message.order)
    if not apart:
        return frame(kind, number, _encoded(message))
    if len(apart) == len(message.order):  # no array stands in two documents: in their order
        message.order = []
    try:
        body = _encoded(message)
    finally:
        for dense, buffer in apart:
            dense.buffer = buffer
    return frame(kind, number, body, [buffer for _, buffer in apart])


def _encoded(message: _Call | _Answer | _Part) -> bytes:
    try:
        return _encode(message)
    except OverflowError:  # a whole number beyond 64 bits, which msgpack does not know
        return _encode(
            _with_large_numbers(
                msgspec.to_builtins(message, enc_hook=plain_value, builtin_types=(bytes, bytearray, memoryview))
            )
        )


def _with_large_numbers(value: object) -> object:
    """*value* with whole numbers beyond 64 bits in a form of our own."""
    if type(value) is int and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_LARGE, str(value).encode())
    if type(value) is dict:
        return {key: _with_large_numbers(each) for key, each in value.items()}
    return [_with_large_numbers(each) for each in value] if isinstance(value, list | tuple) else value


def _take_apart(docs: Documents, apart: list[tuple[DenseNdArray, Piece]], order: list[int]) -> None:
    """Take the bytes of large arrays out of *docs*, and note them in *apart*."""
    for document in docs:
        for array in (document._blob, document._embedding):
            if type(array) is NdArray and (dense := array.dense) is not UNSET:
                if len(dense.buffer) >= _LEAST:
                    if len(apart) < MOST_ARRAYS:
                        order.append(len(apart))
                        apart.append((dense, dense.buffer))
                        dense.buffer = b""
                elif _is_bare(dense):  # it stands in another document too
                    order.append(next(n for n, (taken, _) in enumerate(apart) if taken is dense))
        if document._chunks:
            _take_apart(document._chunks, apart, order)
        if document._matches:
            _take_apart(document._matches, apart, order)


def _is_bare(dense: DenseNdArray) -> bool:
    return not len(dense.buffer) and bool(dense.shape) and 0 not in dense.shape


def _give_back(arrays: list[memoryview], order: list[int], lists: Iterable[Documents]) -> None:
    left = iter(order or range(len(arrays)))
    given: set[int] = set()
    for docs in lists:
        _give(docs, arrays, left, given)


def _give(docs: Documents, arrays: list[memoryview], left: Iterator[int], given: set[int]) -> None:
    for document in docs:
        for array in (document._blob, document._embedding):
            if type(array) is NdArray and (dense := array.dense) is not UNSET and _is_bare(dense):
                number = next(left)
                dense.buffer = arrays[number] if number not in given else bytearray(arrays[number])
                given.add(number)
        _give(document._chunks, arrays, left, given)
        _give(document._matches, arrays, left, given)
