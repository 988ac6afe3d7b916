"""Requests and responses, the same for every protocol. They are frozen: executors change documents, never these."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from enum import IntEnum
from typing import Any, Literal, final

from msgspec import Struct, to_builtins
from msgspec.json import encode
from msgspec.structs import replace

from .document import DocumentArray
from .document.copies import copied
from .errors import FieldError, FlowError, ValidationError, error_named
from .limits import LONGEST_NAME
from .parts import Parts

__all__ = [
    "ExceptionInfo",
    "Header",
    "Parameters",
    "Request",
    "Response",
    "ResponseStream",
    "Route",
    "Status",
    "StatusCode",
    "bare_request",
    "check_names",
    "collecting",
    "copied_parameters",
    "copy_of",
    "error_in",
    "status_of",
]

Parameters = dict[str, Any]
"""What JSON says of a request: who reads it knows what to expect there."""

Arrays = Literal["dense", "list"]
"""How arrays are spelt in a JSON answer: as their bytes, or as nested lists of numbers."""


class StatusCode(IntEnum):
    """How far a request has come (StatusProto.StatusCode)."""

    SUCCESS = 0
    PENDING = 1
    READY = 2
    ERROR = 3
    ERROR_DUPLICATE = 4
    ERROR_NOTALLOWED = 5
    ERROR_CHAINED = 6


class ExceptionInfo(Struct, frozen=True, gc=False):
    """What went wrong (StatusProto.ExceptionProto)."""

    name: str = ""
    """The name of one of the errors in `twisted_flow.errors`."""
    args: list[str] = []
    stacks: list[str] = []
    """Lines of the traceback; only where the server says ``--debug``."""
    executor: str = ""


class Status(Struct, frozen=True, gc=False):
    """How a request ended (StatusProto)."""

    code: int = StatusCode.SUCCESS
    description: str = ""
    exception: ExceptionInfo | None = None


def status_of(error: FlowError) -> Status:
    """The status that tells *error*."""
    detail = " ".join(error.detail.splitlines())
    args = [detail, *(f"{wrong.pointer}: {wrong.detail}" for wrong in error.errors)]
    told = ExceptionInfo(error.name, args, list(error.stacks), error.executor)
    return Status(StatusCode.ERROR, f"{error.name}: {detail}", told)


def error_in(status: Status) -> FlowError:
    """The error that *status*, which is no success, tells: what `status_of` was given."""
    told = status.exception
    if told is None:
        return error_named("", status.description or "the request failed")
    detail = status.description.removeprefix(f"{told.name}: ")
    errors = [FieldError(*each.split(": ", 1)) for each in told.args[1:] if each.startswith("/") and ": " in each]
    return error_named(told.name, detail, stacks=tuple(told.stacks), executor=told.executor, errors=tuple(errors))


class Header(Struct, frozen=True, rename="camel", gc=False):
    """Where a request goes (HeaderProto)."""

    exec_endpoint: str = "/"
    target_peapod: str = ""
    """A regular expression: only executors whose names begin with a match of it take part. '' is all."""
    no_propagate: bool = False


class Route(Struct, frozen=True, rename="camel", gc=False):
    """One executor, or the gateway, that a request came by (RouteProto)."""

    pod: str
    pod_id: str
    start_time: datetime
    end_time: datetime
    status: Status | None = None


@final
class Request(Struct, frozen=True, kw_only=True):
    """Documents on their way to an endpoint."""

    request_id: str
    header: Header
    docs: DocumentArray
    groundtruths: DocumentArray
    parameters: Parameters
    timeout: float | None = None
    """Seconds that the caller gives it, from when it was read."""
    deadline: float | None = None
    """When that is over, in seconds of ``time.monotonic``; set by the deadline policy."""
    arrays: Arrays = "dense"
    docs_matrix: list[DocumentArray] | None = None
    """On its way through a flow: the documents of the branches that meet before an executor that wants them apart."""
    groundtruths_matrix: list[DocumentArray] | None = None
    cancels: bool = False
    """Whether it asks for nothing but the end of the request with its id."""
    parts: Parts | None = None
    """Documents that come after those in `docs`, where not all have come yet."""
    pending: bool = False
    """Of a message: whether others with its id follow, with more documents of the same request."""
    principal: str | None = None
    """Who asks, where that is known."""
    traceparent: str = ""
    """W3C Trace Context, where the caller has one."""
    tracestate: str = ""
    """The same."""
    stream: bool = False
    """Whether the answer may be a `ResponseStream`: who has not asked for parts gets them collected, where they are
    made."""


def collecting(request: Request) -> Request:
    """*request*, for who needs its answer in one piece."""
    return replace(request, stream=False) if request.stream else request


def copy_of(request: Request) -> Request:
    """A twin of *request*: what is done to the documents and parameters of one does not show in the other."""
    matrix, truths = request.docs_matrix, request.groundtruths_matrix
    return replace(
        request,
        docs=copied(request.docs),
        groundtruths=copied(request.groundtruths),
        parameters=copied_parameters(request.parameters),
        docs_matrix=None if matrix is None else [copied(docs) for docs in matrix],
        groundtruths_matrix=None if truths is None else [copied(docs) for docs in truths],
    )


def copied_parameters(parameters: Parameters) -> Parameters:
    """A copy of *parameters*, as deep as can be: an executor may have put anything there."""
    if not parameters:
        return {}
    try:
        return deepcopy(parameters)
    except Exception:
        return dict(parameters)


def check_names(request_id: str, endpoint: str, target: str) -> None:
    """Check the lengths of id, endpoint and target.

    :raises ValidationError: if a name is too long.
    """
    if len(request_id) > LONGEST_NAME:
        raise _too_long("requestId")
    if len(endpoint) > LONGEST_NAME:
        raise _too_long("execEndpoint")
    if len(target) > LONGEST_NAME:
        raise _too_long("targetPeapod")


def _too_long(field: str) -> ValidationError:
    return ValidationError.at(f"/{field}", f"has more than {LONGEST_NAME} characters")


def bare_request(request_id: str, *, cancels: bool = False) -> Request:
    """A request with nothing but an id."""
    nothing = DocumentArray()
    return Request(
        request_id=request_id, header=Header(""), docs=nothing, groundtruths=nothing, parameters={}, cancels=cancels
    )


@final
class Response(Struct, frozen=True):
    """The answer to a request. `routes` grows on its way back."""

    request: Request
    docs: DocumentArray
    groundtruths: DocumentArray
    routes: list[Route]
    status: Status = Status()
    in_place: bool = False
    """Whether `docs` is the request's own list, whose documents were changed in place."""

    @property
    def request_id(self) -> str:
        """The request's."""
        return self.request.request_id

    @property
    def parameters(self) -> Parameters:
        """The request's, as they came back."""
        return self.request.parameters

    @property
    def header(self) -> Header:
        """The request's."""
        return self.request.header

    @property
    def data(self) -> Response:
        """Itself: ``response.data.docs`` are its ``docs``."""
        return self

    def dict(self) -> Parameters:
        """All of it, in what JSON can say."""
        documents = {name: [each.to_dict() for each in getattr(self, name)] for name in ("docs", "groundtruths")}
        said: Parameters = {
            name: to_builtins(value)
            for name, value in (("header", self.header), ("routes", self.routes), ("status", self.status))
        }
        return {"request_id": self.request_id, "data": documents, "parameters": self.parameters, **said}

    def json(self) -> str:
        """The same as JSON."""
        return encode(self.dict()).decode()


@final
class ResponseStream(Struct, eq=False):
    """The answer to a request that comes in parts."""

    request: Request
    parts: Parts
    """The documents. Whoever holds the stream pulls them to their end, or cancels them."""
    routes: list[Route]
    """Complete when `parts` are over."""
    status: Status = Status()
    """The same."""
