"""Every way in which a request, or a flow, can fail.

What goes wrong with a request is a `FlowError`; each class carries what every protocol needs to tell it::

    FlowError
      BadRequest
      Cancelled
      Conflict
      DeadlineExceeded
      ExecutorError
      MethodNotAllowed
      NotAcceptable
      NotFound
      PayloadTooLarge
      PermissionDenied
      QueueFull
      RequestTimeout
      Unauthenticated
      Unavailable
      UnsupportedMediaType
      ValidationError

A user's own code answers with one of these by raising `Reject`. What is wrong with a flow itself, before any
request, is a `ConfigurationError`: one line that says what to do.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

if TYPE_CHECKING:
    from .message import Route

__all__ = [
    "GRPC_STATUSES",
    "ConfigurationError",
    "FieldError",
    "FlowError",
    "Reject",
    "error_named",
]

_LONGEST_WAIT = 366 * 86400.0  # seconds


class FieldError(Struct, frozen=True, gc=False):
    """One invalid field of a message."""

    pointer: str
    """A JSON Pointer (RFC 6901) into the message as it was sent."""
    detail: str
    """What is wrong there."""


class FlowError(Exception):
    """A request failed; the answer says how.

    It is valid when it is made, so that an answer can always be made of it.

    :param detail: one line for the caller; what cannot be UTF-8 in it (of a file's name, say) is escaped.
    :param errors: the invalid fields, if it is the message's fault.
    :param retry_after: seconds after which trying again makes sense, if that is known: 0 to a year.
    :param retryable: whether trying again may help; by default what the class says.
    :param stacks: lines of the traceback behind it; shown to the caller with ``--debug`` only.
    :param executor: the name of the executor that failed, if one did.
    :raises TypeError: if one of them is of another type.
    :raises ValueError: if *retry_after* is no such number.
    """

    http_status: int = 500
    """The status code over HTTP; of one error it may be finer than its class's."""
    grpc_status: ClassVar[str] = "INTERNAL"
    """The name of the gRPC status."""
    retryable: bool = False
    """Whether the same request, sent again, may succeed."""

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        retryable: bool | None = None,
        stacks: tuple[str, ...] = (),
        executor: str = "",
    ) -> None:
        self.detail = _encodable(detail if type(detail) is str else str(detail))
        super().__init__(self.detail)
        self.errors = _field_errors(errors) if errors else ()
        self.retry_after = None if retry_after is None else _seconds(retry_after)
        self.stacks = tuple(stacks)
        self.executor = executor
        self.begun = True
        """Whether the work may have begun; False where it has not for certain, so that it may be tried elsewhere."""
        self.crashed = False
        """Whether a process has ended over it."""
        self.request_id = ""
        """The request's, where one could be read though the request could not."""
        self.response: object = None
        """The `Response` that a server gave, where it was no success."""
        self.routes: list[Route] = []
        """The `Route` of each executor that the request came by, that of the one that failed last."""
        if retryable is not None:
            self.retryable = bool(retryable)

    def __str__(self) -> str:
        return self.detail

    def told(self, because: str, stacks: tuple[str, ...]) -> FlowError:
        """The same error for a caller who is told what was *because* of it, and the traceback."""
        twin: FlowError = copy(self)
        twin.detail = _encodable(self.detail + because)
        twin.stacks = tuple(map(_encodable, stacks))
        return twin

    @property
    def name(self) -> str:
        """The name on the wire (``status.exception.name``)."""
        return type(self).__name__


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise TypeError(f"retry_after={given!r}: it is a number of seconds")
    if not 0 <= given <= _LONGEST_WAIT:  # nor is it a NaN
        raise ValueError(f"retry_after={given!r}: it is from 0 to {_LONGEST_WAIT:.0f} seconds")
    return given


def _field_errors(given: Any) -> tuple[FieldError, ...]:
    errors = tuple(given)
    for each in errors:
        if type(each) is not FieldError or type(each.pointer) is not str or type(each.detail) is not str:
            raise TypeError(f"errors={given!r}: they are FieldErrors, of a pointer and a detail")
    return tuple(FieldError(_encodable(each.pointer), _encodable(each.detail)) for each in errors)


class BadRequest(FlowError):
    """The bytes do not parse."""

    http_status, grpc_status = 400, "INVALID_ARGUMENT"


class Unauthenticated(FlowError):
    """Who calls is not known."""

    http_status, grpc_status = 401, "UNAUTHENTICATED"


class PermissionDenied(FlowError):
    """Who calls is known and may not."""

    http_status, grpc_status = 403, "PERMISSION_DENIED"


class NotFound(FlowError):
    """There is no such route. Never: an endpoint that no executor has (documents pass through)."""

    http_status, grpc_status = 404, "NOT_FOUND"


class MethodNotAllowed(FlowError):
    """The route is there, for other methods."""

    http_status, grpc_status = 405, "UNIMPLEMENTED"


class NotAcceptable(FlowError):
    """None of the media types that the caller accepts can be made."""

    http_status, grpc_status = 406, "INVALID_ARGUMENT"


class RequestTimeout(FlowError):
    """The request came too slowly."""

    http_status, grpc_status, retryable = 408, "DEADLINE_EXCEEDED", True


class Conflict(FlowError):
    """The user's code found the request at odds with what it holds."""

    http_status, grpc_status = 409, "ABORTED"


class PayloadTooLarge(FlowError):
    """A limit on size or count was passed."""

    http_status, grpc_status = 413, "RESOURCE_EXHAUSTED"

    @classmethod
    def of(cls, size: int, most: int) -> PayloadTooLarge:
        """The error that a message of *size* bytes is more than the *most* that a server takes: it is not sent."""
        error = cls(f"a message of {size} bytes; the server takes {most}")
        error.begun = False
        return error


class UnsupportedMediaType(FlowError):
    """The body is of a media type that nothing here reads."""

    http_status, grpc_status = 415, "INVALID_ARGUMENT"


class ValidationError(FlowError):
    """The message parses, but a field is wrong; ``errors`` names it."""

    http_status, grpc_status = 422, "INVALID_ARGUMENT"

    @classmethod
    def at(cls, pointer: str, detail: str) -> ValidationError:
        """The error that *detail* is wrong at *pointer* (a JSON Pointer, '' for the whole message)."""
        where = f"{pointer}: " if pointer else ""
        return cls(where + detail, errors=(FieldError(pointer, detail),))

    def below(self, pointer: str) -> ValidationError:
        """The same error of a part that stands at *pointer*."""
        return self.at(pointer + self.errors[0].pointer, self.errors[0].detail)


class ExecutorError(FlowError):
    """The user's code raised something, or returned nonsense."""

    http_status, grpc_status = 500, "INTERNAL"


class QueueFull(FlowError):
    """More requests wait than may."""

    http_status, grpc_status, retryable = 503, "RESOURCE_EXHAUSTED", True


class Unavailable(FlowError):
    """The server drains, or an executor is down."""

    http_status, grpc_status, retryable = 503, "UNAVAILABLE", True


class DeadlineExceeded(FlowError):
    """The request's time ran out."""

    http_status, grpc_status = 504, "DEADLINE_EXCEEDED"


class Cancelled(FlowError):
    """The caller went away, or cancelled. Logs say 499; nobody reads the answer."""

    http_status, grpc_status = 499, "CANCELLED"


_BY_NAME: dict[str, type[FlowError]] = {error.__name__: error for error in FlowError.__subclasses__()}


GRPC_STATUSES = frozenset({error.grpc_status for error in _BY_NAME.values()} | {"UNKNOWN"})
"""The gRPC statuses that errors have."""


def error_named(name: str, detail: str, **options: Any) -> FlowError:
    """The error called *name*; one that is not known here is the executor's."""
    return _BY_NAME.get(name, ExecutorError)(detail, **options)


class Reject(Exception):
    """Raised by an executor's method to answer with an error of its choice.

    :param name: the name of one of the errors above, such as ``'NotFound'``.
    :param detail: one line for the caller.
    :param options: what `FlowError` takes beside the detail: ``retry_after``, ``retryable``, ``errors``.
    :raises ValueError: if there is no error of that name.
    """

    def __init__(self, name: str, detail: str = "", **options: Any) -> None:
        if name not in _BY_NAME:
            raise ValueError(f"no error is named {name!r}; the names are {', '.join(sorted(_BY_NAME))}")
        super().__init__(name, detail)
        self.error = _BY_NAME[name](detail, **options)


class ConfigurationError(Exception):
    """A flow, or a command line, cannot be served as it is. Its text is one line that says what to do."""
