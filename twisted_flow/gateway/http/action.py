"""A plain request's head, and the action of its route, for both ways through the gateway."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ...answer import Answered
from ...maybe import MaybeDeferred

__all__ = ["Action", "PlainHead"]


class Action(Struct, frozen=True):
    """What a route does with a plain request: one whose head decides nothing but its body's length."""

    run: Callable[[bytes, PlainHead], MaybeDeferred[Answered]]
    """From the body, and what the head says, to the answer; never fails."""
    status: int = 200
    """The status of a success."""


class PlainHead(Struct, frozen=True):
    """What a plain head says. Fields that it has not are b''."""

    action: Action
    length: int
    """Of the body."""
    accept: bytes = b""
    content_type: bytes = b""
    request_id: str = ""
    """The request's, if the head names one that may be."""
    authorization: bytes = b""
    """Its caller's credentials: for who authenticates, and never for the log."""
    traceparent: bytes = b""
    """W3C Trace Context."""
    tracestate: bytes = b""
