"""Frames of the connection as a whole (RFC 9113 sections 6.3, and 6.5 to 6.9), and the table of all that are short."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .codes import (
    ACK,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    MOST_WINDOW,
    PING,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS,
    ConnectionFault,
    StreamFault,
)
from .frames import PAIR, frame
from .stream_frames import reset_came, window_came

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["OTHERS"]


def _priority(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    """PRIORITY is deprecated, and says nothing here."""
    if not id:
        raise ConnectionFault(PROTOCOL_ERROR, "PRIORITY without a stream")
    if len(payload) != 5:
        raise StreamFault(id, FRAME_SIZE_ERROR, "PRIORITY of another length than five")


def _settings(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    if id:
        raise ConnectionFault(PROTOCOL_ERROR, "SETTINGS of a stream")
    if flags & ACK:
        if payload:
            raise ConnectionFault(FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS is empty")
        connection.acknowledged = True
        return
    wider = connection.theirs.read(payload, connection.server)
    connection.control(frame(SETTINGS, ACK, 0))
    for stream in list(connection.streams.values()) if wider else ():
        stream.window += wider
        if stream.window > MOST_WINDOW:
            raise ConnectionFault(FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large")
        connection.widened(stream)


def _push(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    raise ConnectionFault(PROTOCOL_ERROR, "PUSH_PROMISE, which nobody asked for")


def _ping(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    if id:
        raise ConnectionFault(PROTOCOL_ERROR, "PING of a stream")
    if len(payload) != 8:
        raise ConnectionFault(FRAME_SIZE_ERROR, "PING of another length than eight")
    if flags & ACK:
        connection.ponged(payload)
    else:
        connection.control(frame(PING, ACK, 0, payload))


def _goaway(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    if id:
        raise ConnectionFault(PROTOCOL_ERROR, "GOAWAY of a stream")
    if len(payload) < PAIR.size:
        raise ConnectionFault(FRAME_SIZE_ERROR, "GOAWAY of fewer than eight bytes")
    last, code = PAIR.unpack_from(payload)
    last &= MOST_WINDOW
    connection.going = True
    for each in list(connection.streams.values()) if not connection.server else ():
        if each.id > last:  # it was not looked at: the caller may ask elsewhere
            listener = each.listener
            connection.forget(each)
            listener.lost(REFUSED_STREAM)
    connection.owner.going_away(last, code)


def _no(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    """DATA and HEADERS, which are taken elsewhere."""


OTHERS: tuple[Callable[[Connection, int, int, bytes], None], ...] = (
    _no,
    _no,
    _priority,
    reset_came,
    _settings,
    _push,
    _ping,
    _goaway,
    window_came,
)
"""By their type: what takes a frame that is neither DATA, HEADERS nor CONTINUATION; all but its flags and stream is its
payload."""
