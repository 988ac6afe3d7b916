"""The one path that every protocol takes: bytes, request, dispatch, response, bytes.

A gateway knows how bytes arrive and leave. What lies between is here, and here alone a failure becomes an answer.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, final

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from .document.identity import new_id
from .document.outgoing import wrong_message
from .errors import (
    GRPC_STATUSES,
    BadRequest,
    Cancelled,
    ExecutorError,
    FieldError,
    FlowError,
    PayloadTooLarge,
    ValidationError,
)
from .interfaces import ICodec, IDispatcher
from .limits import Limits
from .loop.turns import in_turns
from .maybe import MaybeDeferred
from .message import Arrays, Request, Response, Route
from .telemetry.printable import forget_frames, one_line, printable
from .telemetry.tracebacks import MOST_OFTEN, Repeats, traceback_of

__all__ = ["Answer", "Origin", "answer", "refusal"]

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


class Origin(Struct, frozen=True, kw_only=True):
    """The place where a request comes in, and what that place says about it."""

    gateway: str
    """The id of the gateway, for its entry in ``routes``."""
    write_error: Callable[[FlowError, str, Request | None], Answer]
    """How the protocol writes an error: from it, the request's id, and the request if it could be read."""
    limits: Limits
    endpoint: str | None = None
    """The endpoint, where the place has one: it wins over the body's."""
    timeout: float | None = None
    """Seconds, where the place names them (a header): of them and the body's the fewer hold."""
    arrays: Arrays | None = None
    debug: bool = False
    """Whether callers are told all that is known of a failure."""
    cancel: Callable[[str], None] | None = None
    """How to cancel a request by its id, where that can be asked for."""
    request_id: str = ""
    """The request's, where the place names it (a header) and the body does not."""
    ended: Callable[[], FlowError] = partial(Cancelled, "the caller went away")
    """What a request that is cancelled from outside is answered."""


def answer(
    body: bytes, codec: ICodec, dispatcher: IDispatcher, origin: Origin, started: datetime | None = None
) -> MaybeDeferred[Answer]:
    """Answer *body*.

    :param started: when it was read, if not now.
    :return: never fails: a failure is an `Answer` too. Cancelling it, where it is a Deferred, cancels the work.
    """
    started = started or _now(_UTC)
    try:
        if len(body) > _SMALL and (steps := _steps(body, codec, origin)) is not None:
            reading = in_turns(steps)
            return reading.addCallbacks(
                _read, _unread, callbackArgs=(codec, dispatcher, origin, started), errbackArgs=(origin,)
            )
        request: Request = codec.decode_request(body, origin.endpoint, origin.limits, origin.request_id)
    except Exception as wrong:
        return _undecoded(wrong, origin)
    return _read(request, codec, dispatcher, origin, started)


def _steps(body: bytes, codec: ICodec, origin: Origin) -> Generator[None, None, Request] | None:
    steps: Generator[None, None, Request] | None = codec.decode_in_steps(
        body, origin.endpoint, origin.limits, origin.request_id
    )
    return steps


def _read(
    request: Request, codec: ICodec, dispatcher: IDispatcher, origin: Origin, started: datetime
) -> MaybeDeferred[Answer]:
    """Have *request* answered, which has been read."""
    if request.cancels:
        return _cancelled(request, origin)
    if origin.timeout is not None or origin.arrays is not None:
        timeout = min((each for each in (origin.timeout, request.timeout) if each is not None), default=None)
        request = msgspec.structs.replace(request, timeout=timeout, arrays=origin.arrays or request.arrays)
    try:
        response: MaybeDeferred[Response] = dispatcher.dispatch(request)
    except BaseException:  # SystemExit and GeneratorExit of a user's code end nothing here
        return _failed(Failure(), request, origin)
    if type(response) is Response:  # since its last route ended there was a join at most; the clock takes long to read
        routes = response.routes
        return _succeeded(response, codec, origin, started, routes[-1].end_time if routes else None)
    return response.addCallbacks(
        _succeeded, _failed, callbackArgs=(codec, origin, started), errbackArgs=(request, origin)
    )


def _unread(failure: Failure, origin: Origin) -> Answer:
    if isinstance(failure.value, CancelledError):
        return refusal(origin.ended(), origin.request_id or new_id(), origin)
    return _undecoded(failure.value, origin)


def _undecoded(wrong: BaseException | None, origin: Origin) -> Answer:
    if isinstance(wrong, FlowError):
        return refusal(wrong, wrong.request_id or origin.request_id or new_id(), origin)
    error: FlowError = BadRequest("the body cannot be read")
    if isinstance(wrong, MemoryError):
        error = PayloadTooLarge("what the body says takes more memory than there is")
    else:  # no decoder should raise it, but a caller is answered all the same
        log.failure("a body cannot be decoded", Failure(wrong))
    forget_frames(wrong)
    return refusal(error, origin.request_id or new_id(), origin)


def _cancelled(request: Request, origin: Origin) -> Answer:
    """What a request to cancel another is answered: nothing; the other's answer tells."""
    if origin.cancel is None:
        error = ValidationError.at("/cancel", "close the connection to cancel what was asked on it")
        return refusal(error, request.request_id, origin, request)
    origin.cancel(request.request_id)
    return Answer(b"", "")


def _succeeded(
    response: Response, codec: ICodec, origin: Origin, started: datetime, ended: datetime | None = None
) -> Answer:
    response.routes.insert(0, Route("gateway", origin.gateway, started, ended or _now(_UTC)))
    try:
        body = codec.encode_response(response, origin.limits)
        return Answer(body, codec.content_type, None, response.request.request_id)
    except FlowError as refused:
        return refusal(refused, response.request.request_id, origin, response.request)
    except Exception as wrong:  # whatever an executor put into its documents
        return refusal(_not_encoded(wrong, response), response.request.request_id, origin, response.request)


def _not_encoded(wrong: Exception, response: Response) -> ExecutorError:
    """The error of an answer over which an encoder raised *wrong*: it names the place, if that can be found."""
    error = ExecutorError("the answer cannot be encoded")
    found = None
    with suppress(Exception):  # whatever a user's objects do: the answer is an answer
        found = wrong_message(response.docs, response.groundtruths, response.request.parameters)
    if found is not None:
        where = FieldError(*found)
        error = ExecutorError(f"{error.detail}: {where.pointer}: {where.detail}", errors=(where,))
    error.__cause__ = wrong
    return error


def _failed(failure: Failure, request: Request, origin: Origin) -> Answer:
    error: Any = failure.value
    if isinstance(error, CancelledError):
        error = origin.ended()
    elif not isinstance(error, FlowError):
        log.failure("request {id}: not an error of ours", failure, id=printable(request.request_id))
        forget_frames(error)
        error = ExecutorError("internal error")
    return refusal(error, request.request_id, origin, request)


def refusal(error: FlowError, request_id: str, origin: Origin, request: Request | None = None) -> Answer:
    """The answer that *error* is, with one line in the log; all that is behind it, where *origin* says debug.

    When it is written down, *error* lets go of the frames that it came through.
    """
    try:
        if not 400 <= error.http_status <= 599 or error.grpc_status not in GRPC_STATUSES:  # of a user's own class
            error = ExecutorError(error.detail, executor=error.executor)
        return _refusal(error, request_id, origin, request)
    except Exception:  # something in it, or of the request, cannot be written
        log.failure("request {id}: its error cannot be written as it is", id=printable(request_id))
        return origin.write_error(ExecutorError("internal error"), request_id.encode("ascii", "replace").decode(), None)
    finally:
        forget_frames(error)


def _more(error: FlowError, cause: BaseException) -> str:
    """What *cause* says beyond what *error* does, in one line."""
    name, line = type(cause).__name__, one_line(cause)
    return line.removeprefix(name) if error.detail.endswith(f"raised {name}") else f": {line}"


def _because(error: FlowError, cause: BaseException) -> str:
    """What the log is told of what a user's code raised: all of it, unless that has just been told often."""
    place, times = _repeats.count(cause)
    if times > MOST_OFTEN:
        return f"{_more(error, cause)} ({place}; {times} times within a minute)"
    return f"\n{traceback_of(cause)}"


def _refusal(error: FlowError, request_id: str, origin: Origin, request: Request | None) -> Answer:
    cause = error.__cause__
    write = log.error if error.http_status == 500 else log.info
    write(
        "request {id}: {name}: {detail}{because}",
        id=printable(request_id), name=error.name, detail=printable(error.detail, _MOST_DETAIL),
        because="" if cause is None else _because(error, cause),
    )  # fmt: skip
    if origin.debug and cause is not None:
        error = error.told(_more(error, cause), tuple(traceback.format_exception(cause)))
    return origin.write_error(error, request_id, request)
