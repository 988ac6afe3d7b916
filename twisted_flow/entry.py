"""Where requests come in, what is answered there, and how they are refused.

Here alone a failure becomes an answer (`refuse`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import final

from msgspec import Struct
from msgspec.structs import replace
from twisted.logger import Logger

from .document import DocumentArray
from .document.identity import new_id
from .errors import GRPC_STATUSES, Cancelled, ExecutorError, FlowError
from .limits import Limits
from .message import Arrays, Request, Response
from .record import Record
from .security.guard import Caller
from .telemetry.numbers import Numbers, RequestNumbers
from .telemetry.printable import forget_frames, one_line, printable
from .telemetry.tracebacks import MOST_OFTEN, Repeats, stacks_of, traceback_of

__all__ = ["Answer", "Entry", "Gateway", "PartsForm", "refuse"]

log = Logger()

_repeats = Repeats()


def _nothing() -> None:
    pass


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
    ended: Callable[[], FlowError] = partial(Cancelled, "the caller closed the connection, or cancelled the request")
    """What a request that is cancelled from outside is answered."""
    record: Record = Record(RequestNumbers(Numbers()))
    """Is told of each request that is answered or refused."""

    def beside(self, protocol: str) -> Gateway:
        """One for *protocol* that shares its connections with this one."""
        return replace(self, id=new_id(), protocol=protocol, record=self.record.over(protocol))


@final
class PartsForm(Struct, frozen=True):
    """How an answer in parts is written at an entry."""

    content_type: str
    part: Callable[[Request, DocumentArray, Limits], bytes]
    end: Callable[[Response, Limits], bytes]
    """Writes the end: a response with all its routes, and without documents."""
    failure: Callable[[Answer], bytes]
    """Writes what ended it, where a part has been sent before."""


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
    traceparent: str = ""
    """W3C Trace Context, where the head has one."""
    tracestate: str = ""
    """The same."""
    caller: Caller | None = None
    """Who asks; None where nobody wants to know."""
    parts: PartsForm | None = None
    """How parts are written; None: there are none there, whoever asks for them."""
    stream: bool = False
    """Whether the head asks for parts."""

    def hold(self, end: Callable[[], object]) -> Callable[[], object]:
        """Have *end* called when who asks may have what is open no more.

        :return: to be called when it is closed.
        """
        return _nothing if self.caller is None else self.caller.hold(end)

    def ended(self) -> FlowError:
        """What a request that is cancelled from outside is answered."""
        caller = self.caller
        if caller is not None and caller.revoked is not None:
            return type(caller.revoked)(caller.revoked.detail)
        return self.gateway.ended()


def refuse(
    error: FlowError,
    entry: Entry,
    request: Request | None = None,
    request_id: str = "",
    started: datetime | None = None,
) -> Answer:
    """The answer that *error* is, with one line in the log; all that is behind it, where the gateway says debug.

    Afterwards *error* keeps no reference to the frames that it was raised through.

    :param request: if it could be read.
    :param request_id: where there is none, and neither *error* nor *entry* knows its id.
    :param started: when it came in, where that is known.
    """
    if request is not None:
        request_id = request.request_id
    request_id = request_id or error.request_id or entry.request_id or new_id()
    try:
        if not 400 <= error.http_status <= 599 or error.grpc_status not in GRPC_STATUSES:  # of a user's own class
            error = ExecutorError(error.detail, executor=error.executor)
        entry.gateway.record.failed(error, request, request_id, entry.caller, started)
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
