"""A plain request's head, and the action of its route, for both ways through the gateway."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ...answer import Answered
from ...maybe import MaybeDeferred
from ...security.guard import Caller

__all__ = ["Action", "PlainHead"]


class Action(Struct, frozen=True):
    """What a route does with a plain request: one whose head decides nothing but its body's length."""

    run: Callable[[bytes, PlainHead, Caller | None], MaybeDeferred[Answered]]
    """From the body, what the head says, and who asks, where that is known, to the answer; never fails."""
    status: int = 200
    """The status of a success."""
    open: bool = False
    """Whether anybody may ask, without credentials."""


class PlainHead(Struct, frozen=True):
    """What a plain head says. Fields that it has not are empty."""

    action: Action
    length: int
    """Of the body."""
    accept: bytes = b""
    content_type: bytes = b""
    request_id: str = ""
    """The request's, if the head names one that may be."""
    traceparent: bytes = b""
    """W3C Trace Context."""
    tracestate: bytes = b""
    full: bool = False
    """Whether it has as many fields as there may be."""
