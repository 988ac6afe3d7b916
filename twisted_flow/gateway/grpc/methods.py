"""What a lane serves: its methods, by their paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ...answer import Entry
from ...interfaces import IDispatcher
from ...limits import Limits
from ...security.guard import Caller
from ...wire.http2.fields import Fields
from ...wire.http2.stream import Stream
from .call_head import CallHead

if TYPE_CHECKING:
    from .lane import GRPCLane

__all__ = ["Method", "Methods", "Relay"]

Method = Callable[["GRPCLane", Stream, CallHead, Caller | None], Any]
"""Makes what answers a call of who asks, where that is found out: an `ICall`."""
Relay = Callable[["GRPCLane", Fields], Method]
"""Makes what passes calls on that begin with those fields."""


class Methods(Struct, frozen=True):
    """What a lane serves."""

    by_path: Mapping[str, Method]
    others: Relay | None
    """Of all other paths; None: there are none."""
    entry: Entry
    """Of what is refused."""
    dispatcher: IDispatcher
    limits: Limits
    look: Callable[[int], object]
    """Called by each connection once a second, with the number of the second."""
    later: Callable[[Callable[[], object]], object]
    """Has a function called in another turn of the loop."""
