"""The one path that every protocol takes: bytes, request, dispatch, response, bytes.

A gateway knows how bytes arrive and leave. What lies between is here, in three steps: `read`, the dispatch, and the
writing of what came of it. Here alone a failure becomes an answer (`refuse`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast, final

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from .document.identity import new_id
from .document.outgoing import not_encoded
from .errors import (
    GRPC_STATUSES,
    BadRequest,
    Cancelled,
    ExecutorError,
    FlowError,
    PayloadTooLarge,
    ValidationError,
)
from .interfaces import ICodec, IDispatcher
from .limits import Limits
from .loop.turns import in_turns
from .maybe import MaybeDeferred
from .message import Arrays, Request, Response, ResponseStream, Route
from .outcome import Outcome, collected
from .telemetry.printable import forget_frames, one_line, printable
from .telemetry.tracebacks import MOST_OFTEN, Repeats, stacks_of, traceback_of

__all__ = ["Answer", "Entry", "Gateway", "answer", "read", "refuse", "respond"]

log = Logger()

_now, _UTC = datetime.now, UTC
_SMALL = 1 << 16  # bytes: what is not larger is read in one go
_repeats = Repeats()
_MOST_DETAIL = 1000  # characters of an error's detail in the log


@final
class Answer(Struct, frozen=True):
    """What goes back, and what the protocol may need beside it."""

    body: bytes
    content_type: str
    error: FlowError | None = None
    """What went wrong, if something did."""
    request_id: str = ""
    """The request's, if it has one."""


@final
class Gateway(Struct, frozen=True, kw_only=True):
    """What a gateway decides about how its requests are answered."""

    id: str
    """For its entry in ``routes``."""
    protocol: str
    """Its name, such as 'http'."""
    limits: Limits
    debug: bool = False
    """Whether callers are told all that is known of a failure."""
    ended: Callable[[], FlowError] = partial(Cancelled, "the caller closed the connection")
    """What a request that is cancelled from outside is answered."""


@final
class Entry(Struct, frozen=True, kw_only=True):
    """Where a request comes in, and what that route, connection or head says about it."""

    gateway: Gateway
    write_error: Callable[[FlowError, str, Request | None], Answer]
    """How an error is written there: from it, the request's id, and the request if it could be read."""
    endpoint: str | None = None
    """The endpoint, where the route has one: it wins over the body's."""
    timeout: float | None = None
    """Seconds, where a header names them: of them and the body's the fewer hold."""
    arrays: Arrays | None = None
    request_id: str = ""
    """The request's, where the head names it and the body does not."""
    principal: str | None = None
    """Who asks, where that is known."""


def answer(
    body: bytes, codec: ICodec, dispatcher: IDispatcher, entry: Entry, started: datetime | None = None
) -> MaybeDeferred[Answer]:
    """Answer *body*: `read` it, and `respond`.

    :param started: when it came in, if not now.
    :return: never fails: a failure is an `Answer` too. Cancelling it, where it is a Deferred, cancels the work.
    """
    started = started or _now(_UTC)
    try:
        request = read(body, codec, entry)
    except FlowError as error:
        return refuse(error, entry)
    if type(request) is Request:
        return respond(request, codec, dispatcher, entry, started)
    return request.addCallbacks(
        respond, _not_read, callbackArgs=(codec, dispatcher, entry, started), errbackArgs=(entry,)
    )


def _not_read(failure: Failure, entry: Entry) -> Answer:
    return refuse(cast(FlowError, failure.value), entry)


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
        if entry.timeout is None and entry.arrays is None and entry.principal is None:  # as most
            return request
        return _at(request, entry)
    raise error


def _at(request: Request, entry: Entry) -> Request:
    """*request* with the endpoint, timeout, id and principal that *entry* sets."""
    timeout = min((each for each in (entry.timeout, request.timeout) if each is not None), default=None)
    arrays = entry.arrays or request.arrays
    return msgspec.structs.replace(request, timeout=timeout, arrays=arrays, principal=entry.principal)


def _not_decoded(failure: Failure, entry: Entry) -> Failure:
    raise entry.gateway.ended() if isinstance(failure.value, CancelledError) else _unreadable(failure.value)


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
) -> MaybeDeferred[Answer]:
    """Have *request*, which came in when *started*, answered by *dispatcher*.

    :return: see `answer`.
    """
    if request.cancels:
        return refuse(
            ValidationError.at(
                "/cancel", "only WebSocket and gRPC streams take it: close the connection to cancel its request"
            ),
            entry,
            request,
        )
    try:
        outcome: MaybeDeferred[Outcome] = dispatcher.dispatch(request)
        if type(outcome) is ResponseStream:
            outcome = cast("MaybeDeferred[Outcome]", collected(outcome))
    except BaseException:  # SystemExit and GeneratorExit of a user's code end nothing here
        return _failed(Failure(), request, entry)
    if type(outcome) is Response:  # since its last route ended there was a join at most; the clock takes long to read
        routes = outcome.routes
        return _write(outcome, codec, entry, started, routes[-1].end_time if routes else None)
    written: Deferred[Answer] = cast("Deferred[Outcome]", outcome).addCallbacks(
        _write_whole, _failed, callbackArgs=(request, codec, entry, started), errbackArgs=(request, entry)
    )
    return written


def _write_whole(
    outcome: Outcome, request: Request, codec: ICodec, entry: Entry, started: datetime
) -> MaybeDeferred[Answer]:
    """*outcome*, which came later, as an answer; of a stream when all its parts are there."""
    if type(outcome) is Response:
        return _write(outcome, codec, entry, started)
    try:
        whole = collected(outcome)
    except BaseException:
        return _failed(Failure(), request, entry)
    if type(whole) is Response:
        return _write(whole, codec, entry, started)
    written: Deferred[Answer] = whole.addCallbacks(
        _write, _failed, callbackArgs=(codec, entry, started), errbackArgs=(request, entry)
    )
    return written


def _write(response: Response, codec: ICodec, entry: Entry, started: datetime, ended: datetime | None = None) -> Answer:
    """*response* as bytes, with the gateway's own route; it took from *started* to *ended* (now)."""
    gateway = entry.gateway
    response.routes.insert(0, Route("gateway", gateway.id, started, ended or _now(_UTC)))
    try:
        body = codec.encode_response(response, gateway.limits)
        return Answer(body, codec.content_type, None, response.request.request_id)
    except FlowError as refused:
        return refuse(refused, entry, response.request)
    except Exception as raised:  # whatever an executor put into its documents
        parts = response.docs, response.groundtruths, response.request.parameters
        return refuse(not_encoded("the answer", raised, *parts), entry, response.request)


def _failed(failure: Failure, request: Request, entry: Entry) -> Answer:
    error: Any = failure.value
    if isinstance(error, CancelledError):
        error = entry.gateway.ended()
    elif not isinstance(error, FlowError):
        log.failure("request {id}: an unexpected exception", failure, id=printable(request.request_id))
        forget_frames(error)
        error = ExecutorError("internal error")
    return refuse(error, entry, request)


def refuse(error: FlowError, entry: Entry, request: Request | None = None, request_id: str = "") -> Answer:
    """The answer that *error* is, with one line in the log; all that is behind it, where the gateway says debug.

    Afterwards *error* keeps no reference to the frames that it was raised through.

    :param request: if it could be read.
    :param request_id: where there is none, and neither *error* nor *entry* knows its id.
    """
    if request is not None:
        request_id = request.request_id
    request_id = request_id or error.request_id or entry.request_id or new_id()
    try:
        if not 400 <= error.http_status <= 599 or error.grpc_status not in GRPC_STATUSES:  # of a user's own class
            error = ExecutorError(error.detail, executor=error.executor)
        return _refused(error, request_id, entry, request)
    except Exception:  # something in it, or of the request, cannot be written
        log.failure("request {id}: the error cannot be encoded", id=printable(request_id))
        return entry.write_error(ExecutorError("internal error"), request_id.encode("ascii", "replace").decode(), None)
    finally:
        forget_frames(error)


def _more(error: FlowError, cause: BaseException) -> str:
    """What *cause* adds to *error*, in one line."""
    name, line = type(cause).__name__, one_line(cause)
    return line.removeprefix(name) if error.detail.endswith(f"raised {name}") else f": {line}"


def _because(error: FlowError, cause: BaseException) -> str:
    """The log's text for an exception of a user's code: with its traceback, unless that was logged often just now."""
    location, times = _repeats.count(cause)
    if times > MOST_OFTEN:
        return f"{_more(error, cause)} ({location}; {times} times within a minute)"
    return f"\n{traceback_of(cause)}"


def _refused(error: FlowError, request_id: str, entry: Entry, request: Request | None) -> Answer:
    cause = error.__cause__
    write = log.error if error.http_status == 500 else log.info
    write(
        "request {id}: {name}: {detail}{because}",
        id=printable(request_id), name=error.name, detail=printable(error.detail, _MOST_DETAIL),
        because="" if cause is None else _because(error, cause),
    )  # fmt: skip
    if entry.gateway.debug and cause is not None:
        error = error.told(_more(error, cause), stacks_of(cause))
    return entry.write_error(error, request_id, request)
