"""How long the lane waits for its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import RequestTimeout
from .head import Refused

if TYPE_CHECKING:
    from .lane import Lane

__all__ = ["sweep"]


def sweep(lane: Lane, second: int) -> None:
    """Called once a second: end what has waited too long.

    :param second: its number.
    """
    waited = second - lane.since
    if lane.stall_timer.seconds(lane.transport, second, lane.full or lane.ended) > lane.limits.write_timeout:
        lane.transport.abortConnection()  # type: ignore[union-attr]
    elif lane.full or lane.due or lane.ended or lane.admissions.asking:
        return
    elif not lane.buffer:
        if waited > lane.limits.idle_timeout:
            lane.end()
    elif lane.scanned and waited > lane.limits.header_timeout:
        lane.refuse(Refused(RequestTimeout(f"no complete head within {lane.limits.header_timeout:g} s")))
    elif waited > lane.limits.body_timeout:
        lane.refuse(Refused(RequestTimeout(f"no byte of the body for {lane.limits.body_timeout:g} s")))
