"""The one path that every protocol takes: bytes, request, dispatch, response, bytes.

A gateway knows how bytes arrive and leave. What lies between is here, in three steps: `read`, the dispatch, and the
writing of what came of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from .answer_stream import AnswerStream, failed
from .document.outgoing import not_encoded
from .entry import Answer, Entry, Gateway, PartsForm, refuse
from .errors import BadRequest, FlowError, PayloadTooLarge, ValidationError
from .interfaces import ICodec, IDispatcher
from .loop.turns import in_turns
from .maybe import MaybeDeferred
from .message import Request, Response, ResponseStream, Route, collecting
from .outcome import Outcome, collected
from .telemetry.printable import forget_frames

__all__ = ["Answer", "AnswerStream", "Answered", "Entry", "Gateway", "PartsForm", "answer", "read", "refuse", "respond"]

log = Logger()

Answered = Answer | AnswerStream
"""What comes of a request: an answer that is whole, or one that comes in parts."""

_now, _UTC = datetime.now, UTC
_SMALL = 1 << 16  # bytes: what is not larger is read in one go


def answer(
    body: bytes, codec: ICodec, dispatcher: IDispatcher, entry: Entry, started: datetime | None = None
) -> MaybeDeferred[Answered]:
    """Answer *body*: `read` it, and `respond`.

    :param started: when it came in, if not now.
    :return: never fails: a failure is an `Answer` too. Cancelling it, where it is a Deferred, cancels the work. An
        `AnswerStream` comes only where the request, or *entry*, asks for parts.
    """
    started = started or _now(_UTC)
    try:
        request = read(body, codec, entry)
    except FlowError as error:
        return refuse(error, entry, started=started)
    if type(request) is Request:
        return respond(request, codec, dispatcher, entry, started)
    return cast("Deferred[Any]", request).addCallbacks(
        respond, _not_read, callbackArgs=(codec, dispatcher, entry, started), errbackArgs=(entry, started)
    )


def _not_read(failure: Failure, entry: Entry, started: datetime) -> Answer:
    return refuse(cast(FlowError, failure.value), entry, started=started)


def read(body: bytes, codec: ICodec, entry: Entry) -> MaybeDeferred[Request]:
    """The request that *body* says; a large one is read in turns with everything else.

    :raises FlowError: what else the Deferred would fail with: the error to `refuse` it by. Cancelling is one too.
    """
    limits = entry.gateway.limits
    try:
        if len(body) > _SMALL:
            steps = codec.decode_in_steps(body, entry.endpoint, limits, entry.request_id)
            if steps is not None:
                reading = in_turns(steps)
                return reading.addCallbacks(_at, _not_decoded, callbackArgs=(entry,), errbackArgs=(entry,))
        request: Request = codec.decode_request(body, entry.endpoint, limits, entry.request_id)
    except Exception as raised:
        error = _unreadable(raised)
    else:
        if entry.timeout is None and entry.arrays is None and not entry.stream:
            if entry.caller is not None:  # nobody else has it yet
                msgspec.structs.force_setattr(request, "principal", entry.caller.principal)
            return _traced(request, entry) if entry.traceparent else request
        return _at(request, entry)
    raise error


def _at(request: Request, entry: Entry) -> Request:
    """*request* with the endpoint, timeout, id and principal that *entry* sets."""
    timeout = min((each for each in (entry.timeout, request.timeout) if each is not None), default=None)
    arrays = entry.arrays or request.arrays
    stream = entry.stream or request.stream
    principal = None if entry.caller is None else entry.caller.principal
    request = msgspec.structs.replace(request, timeout=timeout, arrays=arrays, principal=principal, stream=stream)
    return _traced(request, entry)


def _traced(request: Request, entry: Entry) -> Request:
    """*request* with the trace that *entry* names, unless it names one itself."""
    if request.traceparent or not entry.traceparent:
        return request
    return msgspec.structs.replace(request, traceparent=entry.traceparent, tracestate=entry.tracestate)


def _not_decoded(failure: Failure, entry: Entry) -> Failure:
    raise entry.ended() if isinstance(failure.value, CancelledError) else _unreadable(failure.value)


def _unreadable(raised: BaseException | None) -> FlowError:
    """The error for a body that a decoder refused by raising *raised*."""
    if isinstance(raised, FlowError):
        return raised
    error: FlowError = BadRequest("the body cannot be read")
    if isinstance(raised, MemoryError):
        error = PayloadTooLarge("decoding the body takes more memory than is available")
    else:  # no decoder should raise it, but a caller is answered all the same
        log.failure("a body cannot be decoded", Failure(raised))
    forget_frames(raised)
    return error


def respond(
    request: Request, codec: ICodec, dispatcher: IDispatcher, entry: Entry, started: datetime
) -> MaybeDeferred[Answered]:
    """Have *request*, which came in when *started*, answered by *dispatcher*.

    :return: see `answer`.
    """
    if request.pending or not request.header.exec_endpoint:
        return refuse(_not_whole(request, codec), entry, request, started=started)
    if request.stream:
        if entry.parts is not None:
            return _respond_in_parts(request, dispatcher, entry, started)
        request = collecting(request)
    try:
        outcome: MaybeDeferred[Outcome] = dispatcher.dispatch(request)
        if type(outcome) is ResponseStream:
            outcome = cast("MaybeDeferred[Outcome]", collected(outcome))
    except BaseException:  # SystemExit and GeneratorExit of a user's code end nothing here
        return failed(Failure(), request, entry, started)
    if type(outcome) is Response:  # since its last route ended there was a join at most; the clock takes long to read
        routes = outcome.routes
        return _write(outcome, codec, entry, started, routes[-1].end_time if routes else None)
    entry.gateway.record.numbers.in_flight += 1
    written: Deferred[Answered] = cast("Deferred[Outcome]", outcome).addCallbacks(
        _write_whole, _failed, callbackArgs=(request, codec, entry, started), errbackArgs=(request, entry, started)
    )
    return written


def _not_whole(request: Request, codec: ICodec) -> ValidationError:
    """The error for a message that is no request of its own, where it came in."""
    if request.cancels:
        return ValidationError.at(
            "/cancel", "only WebSocket and gRPC streams take it: close the connection to cancel its request"
        )
    if request.header.exec_endpoint:
        return ValidationError.at("/status/code", "only WebSocket and gRPC streams take requests in several messages")
    return ValidationError.at(codec.endpoint_at, "is required")


def _respond_in_parts(
    request: Request, dispatcher: IDispatcher, entry: Entry, started: datetime
) -> MaybeDeferred[Answered]:
    try:
        outcome: MaybeDeferred[Outcome] = dispatcher.dispatch(request)
    except BaseException:
        return failed(Failure(), request, entry, started)
    if isinstance(outcome, Deferred):
        return outcome.addCallbacks(AnswerStream.of, failed, (entry, started), errbackArgs=(request, entry, started))
    return AnswerStream.of(outcome, entry, started)


def _write_whole(
    outcome: Outcome, request: Request, codec: ICodec, entry: Entry, started: datetime
) -> MaybeDeferred[Answered]:
    """*outcome*, which came later, as an answer; of a stream when all its parts are there."""
    try:
        whole = collected(outcome)
    except BaseException:
        return _failed(Failure(), request, entry, started)
    if type(whole) is Response:
        entry.gateway.record.numbers.in_flight -= 1
        return _write(whole, codec, entry, started)
    written: Deferred[Answered] = whole.addCallbacks(
        _write_whole, _failed, callbackArgs=(request, codec, entry, started), errbackArgs=(request, entry, started)
    )
    return written


def _failed(failure: Failure, request: Request, entry: Entry, started: datetime) -> Answer:
    """The answer to what failed later."""
    entry.gateway.record.numbers.in_flight -= 1
    return failed(failure, request, entry, started)


def _write(response: Response, codec: ICodec, entry: Entry, started: datetime, ended: datetime | None = None) -> Answer:
    """*response* as bytes, with the gateway's own route; it took from *started* to *ended* (now)."""
    gateway = entry.gateway
    response.routes.insert(0, Route("gateway", gateway.id, started, ended or _now(_UTC)))
    try:
        body = codec.encode_response(response, gateway.limits)
    except FlowError as refused:
        return refuse(refused, entry, response.request, started=started)
    except Exception as raised:  # whatever an executor put into its documents
        parts = response.docs, response.groundtruths, response.request.parameters
        return refuse(not_encoded("the answer", raised, *parts), entry, response.request, started=started)
    gateway.record.answered(response, len(body), entry.caller)
    return Answer(body, codec.content_type, None, response.request.request_id)
