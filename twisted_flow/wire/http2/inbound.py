"""What comes over a connection: bytes, as frames, some in each turn of the loop; header blocks of several frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from .codes import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    HEADERS,
    MOST_WINDOW,
    PADDED,
    PREFACE,
    PROTOCOL_ERROR,
    SETTINGS,
    WITH_PRIORITY,
    ConnectionFault,
    StreamFault,
)
from .connection_frames import OTHERS
from .fields import BEYOND, HeaderReader
from .frames import HEAD, HEAD_SIZE, reset
from .stream_frames import data_came, fields_came

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["EARLY", "Inbound"]

_head = HEAD.unpack_from
_TURN = 64  # frames, and messages in them, until other connections have their turn
EARLY = _TURN - 16
"""What is left of `Inbound.steps` when the first answers leave: the peer need not wait for all of them."""
_SHORT = 256  # bytes of a CONTINUATION: who sends shorter ones has something else in mind


@final
class Inbound:
    """See the module."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._reader = HeaderReader(connection.ours.fields, connection.server)
        self._preface = len(PREFACE) if connection.server else 0  # bytes of it that are still to come
        self.greeted = False
        """Whether SETTINGS has come."""
        self._parts: list[bytes] = []
        self.size = 0
        """Bytes that have come and are not taken."""
        self._wanted = 1  # bytes that have to be there before another look at them is worth while
        self.steps = _TURN
        """What may still be taken in this turn of the loop: a frame, or a message, is one."""
        self.waits = False
        """Whether there is more than was taken in this turn."""
        self._waiting: list[Callable[[], object]] = []
        self._block: bytearray | None = None  # a header block that is not whole
        self._block_of, self._block_ends = 0, False

    @property
    def unfinished(self) -> bool:
        """Whether something has begun to come in, and is not all there."""
        return self.size > 0 or self._block is not None or not self.greeted

    def wait(self, function: Callable[[], object] | None = None) -> None:
        """End this turn; have *function* called in the next."""
        if function is not None:
            self._waiting.append(function)
        if not self.waits:
            self.waits = True
            self.connection.owner.later(self.connection.go_on)

    def go_on(self) -> None:
        """In another turn."""
        self.waits, self.steps = False, _TURN
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()
        self.take(b"")

    def take(self, data: bytes) -> None:
        """Take *data*, and what came before it.

        :raises ConnectionFault: if the connection cannot go on.
        """
        if data:
            self._parts.append(data)
            self.size += len(data)
        if self.waits or self.size < self._wanted:
            return
        self.steps = _TURN
        parts, self._parts, self.size = self._parts, [], 0
        if len(parts) == 1:
            self._take_frames(parts[0], 0)
        elif parts:
            self._take_first(parts)

    def _take_first(self, parts: list[bytes]) -> None:
        """Take a frame that is spread over *parts*, and those behind it in the last: its bytes alone are copied."""
        last = parts.pop()
        there = self._wanted - sum(map(len, parts))  # bytes of it in the last
        if self._preface or there <= 0 or self._wanted == HEAD_SIZE:
            self._take_frames(b"".join([*parts, last]), 0)
            return
        self._take_frames(b"".join([*parts, last[:there]]), 0)
        if self._parts:  # it has to wait
            self._keep(last, there)
        elif there < len(last) and not self.connection.ended:
            self._take_frames(last, there)

    def _keep(self, data: bytes, at: int) -> None:
        if at < len(data):
            self._parts.append(data[at:] if at else data)
            self.size += len(data) - at

    def _take_frames(self, data: bytes, at: int) -> None:
        """Take the frames that are there in *data*, from *at* on; keep the rest."""
        connection = self.connection
        end, most, self._wanted = len(data), connection.ours.frame_size, HEAD_SIZE
        if self._preface:
            at = self._take_preface(data)
        while end - at >= HEAD_SIZE:
            word, flags, id = _head(data, at)
            size, begin = word >> 8, at + HEAD_SIZE
            if size > most:
                raise ConnectionFault(FRAME_SIZE_ERROR, "a frame is larger than SETTINGS_MAX_FRAME_SIZE")
            if begin + size > end:
                self._wanted = HEAD_SIZE + size
                break
            if self.steps <= 0:
                self.wait()
                break
            self.steps -= 1
            if self.steps == EARLY:
                connection.flush_early()
            at = begin + size
            self._frame(word & 255, flags, id & MOST_WINDOW, data, begin, at)
            if connection.ended:
                return
        self._keep(data, at)

    def _take_preface(self, data: bytes) -> int:
        """Take what is there of the preface; return where it ends."""
        expected = PREFACE[-self._preface :]
        taken = min(len(expected), len(data))
        if data[:taken] != expected[:taken]:
            raise ConnectionFault(PROTOCOL_ERROR, "not the preface of HTTP/2")
        self._preface -= taken
        return taken

    def _frame(self, kind: int, flags: int, id: int, data: bytes, at: int, end: int) -> None:
        connection = self.connection
        if self._block is not None and (kind != CONTINUATION or id != self._block_of):
            raise ConnectionFault(PROTOCOL_ERROR, "a header block is interrupted")
        try:
            if kind == DATA and self.greeted:
                data_came(connection, flags, id, data, at, end)
            elif not self.greeted and (kind != SETTINGS or flags & ACK):
                raise ConnectionFault(PROTOCOL_ERROR, "the first frame is not SETTINGS")
            elif kind == HEADERS:
                self._begin_block(flags, id, data[at:end])
            elif kind == CONTINUATION:
                self._continue_block(flags, data[at:end])
            else:
                self.greeted = True
                connection.patience.spend(f"frames of type {kind}")
                if kind < len(OTHERS):  # what is not known is ignored (section 5.5)
                    OTHERS[kind](connection, flags, id, data[at:end])
        except StreamFault as fault:
            self._reset(fault)

    def _reset(self, fault: StreamFault) -> None:
        connection = self.connection
        connection.patience.spend(fault.detail)
        stream = connection.streams.get(fault.stream)
        if stream is None:
            connection.control(reset(fault.stream, fault.code))
            connection.ignore(fault.stream)
        else:
            listener = stream.listener
            connection.reset(stream, fault.code)
            listener.lost(fault.code)

    def _begin_block(self, flags: int, id: int, payload: bytes) -> None:
        if not id:
            raise ConnectionFault(PROTOCOL_ERROR, "HEADERS without a stream")
        skipped = (1 if flags & PADDED else 0) + (5 if flags & WITH_PRIORITY else 0)
        if skipped:
            if len(payload) < skipped:
                raise ConnectionFault(FRAME_SIZE_ERROR, "HEADERS are too short for their flags")
            padding = payload[0] if flags & PADDED else 0
            if skipped + padding > len(payload):
                raise ConnectionFault(PROTOCOL_ERROR, "padding is longer than its frame")
            payload = payload[skipped : len(payload) - padding]
        self._block_of, self._block_ends = id, bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._end_block(payload)
        else:
            self._block = bytearray(payload)

    def _continue_block(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self.connection.patience.spend("CONTINUATION", 1 if len(payload) > _SHORT else 64)
        self._block += payload
        if len(self._block) > BEYOND * self.connection.ours.fields:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "a header block is too large")
        if flags & END_HEADERS:
            block, self._block = bytes(self._block), None
            self._end_block(block)

    def _end_block(self, block: bytes) -> None:
        """A header block is whole. It is read in any case: the table goes on by it."""
        fields_came(self.connection, self._block_of, self._reader.read(block), self._block_ends)
