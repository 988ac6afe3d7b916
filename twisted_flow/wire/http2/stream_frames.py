"""Frames of streams: which may come in which state of theirs (RFC 9113 sections 5.1, 6.1, 6.2, 6.4, 6.9, 8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .codes import (
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    MOST_WINDOW,
    PADDED,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    ConnectionFault,
    StreamFault,
)
from .frames import NUMBER
from .stream import Stream

if TYPE_CHECKING:
    from .connection import Connection
    from .fields import Fields

__all__ = ["data_came", "fields_came", "known", "reset_came", "window_came"]

_REQUEST = "a request has :method, :scheme and :path"


def data_came(connection: Connection, flags: int, id: int, data: bytes, at: int, end: int) -> None:
    """DATA: the bytes of *data* from *at* to *end*."""
    size = end - at
    stream = connection.streams.get(id)
    connection.room -= size
    if connection.room < 0:
        raise ConnectionFault(FLOW_CONTROL_ERROR, "more DATA than the window of the connection allows")
    if stream is None or not stream.open_in:
        connection.credit(size)
        _stray(connection, id, stream)
        return
    stream.room -= size
    if stream.room < 0:
        raise StreamFault(id, FLOW_CONTROL_ERROR, "more DATA than the window of the stream allows")
    if flags & PADDED:
        padding = 1 + data[at] if size else 1
        if padding > size:
            raise ConnectionFault(PROTOCOL_ERROR, "padding is longer than its frame")
        stream.credit(padding)
        at, end = at + 1, end - padding + 1
    if at < end:
        if stream.expected >= 0:
            stream.expected -= end - at
            if stream.expected < 0:
                raise StreamFault(id, PROTOCOL_ERROR, "more DATA than content-length says")
        stream.listener.data(data, at, end)
    elif not flags & END_STREAM:
        connection.patience.spend("empty DATA")
    if flags & END_STREAM and stream.open_in:
        _ended(stream)


def _ended(stream: Stream) -> None:
    """END_STREAM has come."""
    if stream.expected > 0:
        raise StreamFault(stream.id, PROTOCOL_ERROR, "less DATA than content-length says")
    stream.open_in = False
    stream.listener.ended()
    if not stream.open_out:
        stream.connection.forget(stream)


def _stray(connection: Connection, id: int, stream: Stream | None) -> None:
    """DATA for a stream on which the peer sends no more, or never did.

    :raises Exception: unless such frames may be under way still.
    """
    connection.patience.spend("DATA for streams that are closed")
    if not known(connection, id):
        raise ConnectionFault(PROTOCOL_ERROR, "DATA for a stream that is not open")
    if stream is not None or not connection.ignores(id):
        raise StreamFault(id, STREAM_CLOSED, "DATA for a stream that is closed")


def known(connection: Connection, id: int) -> bool:
    """Whether there is, or was, a stream *id*."""
    if id % 2 == (1 if connection.server else 0):  # the peer opens those
        return 0 < id <= connection.last
    return 0 < id < connection.next


def fields_came(connection: Connection, id: int, fields: Fields, ended: bool) -> None:
    """HEADERS, with their CONTINUATIONs."""
    stream = connection.streams.get(id)
    if stream is None or not stream.open_in:
        if connection.server and id % 2 and id > connection.last:
            _open(connection, id, fields, ended)
        elif stream is not None or not (known(connection, id) and connection.ignores(id)):
            code = STREAM_CLOSED if known(connection, id) else PROTOCOL_ERROR
            raise ConnectionFault(code, "HEADERS for a stream that is not open")
        return
    if fields.too_large:
        raise StreamFault(id, ENHANCE_YOUR_CALM, "the header fields are too large")
    trailers = not fields.pseudo
    if fields.wrong or (connection.server and not trailers) or (trailers and not ended):
        raise StreamFault(id, PROTOCOL_ERROR, fields.wrong or "trailers have no pseudo-header fields, and end a stream")
    if fields.length is not None and not trailers:
        stream.expected = fields.length
    stream.listener.headers(fields)
    if ended and stream.open_in:
        _ended(stream)


def _open(connection: Connection, id: int, fields: Fields, ended: bool) -> None:
    connection.last = id
    if not connection.takes(id):
        connection.ignore(id)
    elif len(connection.streams) >= connection.ours.streams:
        connection.refuse(id)
    elif fields.too_large:
        raise StreamFault(id, ENHANCE_YOUR_CALM, "the header fields are too large")
    elif fields.wrong or not fields.pseudo:
        raise StreamFault(id, PROTOCOL_ERROR, fields.wrong or _REQUEST)
    else:
        connection.streams[id] = stream = Stream(connection, id, connection.theirs.window)
        if fields.length is not None:
            stream.expected = fields.length
        listener = connection.owner.opened(stream, fields)
        if not stream.open_in:  # it was refused
            return
        stream.listener = listener
        if ended:
            _ended(stream)


def reset_came(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    """RST_STREAM."""
    if len(payload) != NUMBER.size:
        raise ConnectionFault(FRAME_SIZE_ERROR, "RST_STREAM of another length than four")
    if not known(connection, id):
        raise ConnectionFault(PROTOCOL_ERROR, "RST_STREAM for a stream that is not open")
    stream = connection.streams.get(id)
    if stream is not None:
        listener = stream.listener
        connection.forget(stream)
        listener.lost(NUMBER.unpack(payload)[0])


def window_came(connection: Connection, flags: int, id: int, payload: bytes) -> None:
    """WINDOW_UPDATE."""
    if len(payload) != NUMBER.size:
        raise ConnectionFault(FRAME_SIZE_ERROR, "WINDOW_UPDATE of another length than four")
    more = NUMBER.unpack(payload)[0] & MOST_WINDOW
    if not id:
        connection.window += more
        if not more or connection.window > MOST_WINDOW:
            code = FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR
            raise ConnectionFault(code, "the window of the connection grows by nothing, or too much")
        connection.widened(None)
        return
    if not known(connection, id):
        raise ConnectionFault(PROTOCOL_ERROR, "WINDOW_UPDATE for a stream that is not open")
    stream = connection.streams.get(id)
    if stream is not None:
        stream.window += more
        if not more or stream.window > MOST_WINDOW:
            code = FLOW_CONTROL_ERROR if more else PROTOCOL_ERROR
            raise StreamFault(id, code, "the window of a stream grows by nothing, or too much")
        connection.widened(stream)
