"""What an HTTP server's answer says that is no success: a problem document (RFC 9457), or less."""

from __future__ import annotations

import msgspec

from ..errors import FieldError, FlowError, NotFound, PermissionDenied, Unauthenticated, Unavailable, error_named

__all__ = ["OF_STATUSES", "Told", "refused", "told_in"]

OF_STATUSES: dict[int, type[FlowError]] = {401: Unauthenticated, 403: PermissionDenied}
"""What statuses mean that come without a problem."""
_OF_PROXIES = (502, 503, 504)  # where there is no server behind them


class Told(msgspec.Struct):
    """The fields of a problem document that the client uses."""

    title: str = ""
    detail: str = ""
    retryable: bool | None = None
    errors: tuple[FieldError, ...] = ()
    stacks: tuple[str, ...] = ()
    executor: str = ""


def told_in(body: bytes) -> Told:
    """What *body* says, if it is one."""
    try:
        return msgspec.json.decode(body, type=Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Told()


def refused(status: int, body: bytes) -> FlowError:
    """The error that an answer with *status* and *body* is."""
    told = told_in(body)
    if told.title:
        rest = {"errors": told.errors, "stacks": told.stacks, "executor": told.executor}
        return error_named(told.title, told.detail, retryable=told.retryable, **rest)
    if status in OF_STATUSES:
        return OF_STATUSES[status](f"the server answered {status}")
    if status == 404:
        return NotFound(f"the server answered {status}: it may not serve HTTP")
    if status in _OF_PROXIES:
        return Unavailable(f"the server answered {status}: what is behind it does not answer")
    return error_named("ExecutorError", f"the server answered {status}: {body[:200].decode('utf-8', 'replace')}")
