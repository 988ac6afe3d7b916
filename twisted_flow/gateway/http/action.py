"""What a plain request to a route comes to, whichever way it came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from ...answer import Answer
from ...maybe import MaybeDeferred

if TYPE_CHECKING:
    from .plain_heads import PlainHead

__all__ = ["Action"]


class Action(Struct, frozen=True):
    """What a route does with a plain request: one whose head says nothing that matters but its body's length."""

    run: Callable[[bytes, PlainHead], MaybeDeferred[Answer]]
    """From the body, and what the head says, to the answer; never fails."""
    status: int = 200
    """The status of a success."""
