"""One stream of a connection: what may still come on it, and what waits to be sent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, final

from zope.interface import implementer

from .codes import NO_ERROR
from .frames import data_head, headers, reset, window_update
from .interfaces import IStreamListener

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["NOBODY", "Stream"]

_FULL = 1 << 16  # bytes that wait to be sent
_AT_ONCE = 1 << 18  # bytes of one stream, until others have their turn


@final
class Stream:
    """See the module. It is made by its `Connection`.

    :param id: its number.
    :param window: bytes that the peer takes before it gives more.
    """

    __slots__ = ("_at", "_head", "_out", "_owed", "_tail", "connection", "expected", "full", "id", "listener",
                 "open_in", "open_out", "room", "since", "unsent", "window")  # fmt: skip

    def __init__(self, connection: Connection, id: int, window: int) -> None:
        self.connection, self.id, self.window = connection, id, window
        self.listener: Any = NOBODY  # an `IStreamListener`; asked for each frame
        self.open_in = self.open_out = True
        """Whether the peer may send, and whether we may."""
        self.room = connection.ours.window
        """Bytes that the peer may send."""
        self._owed = 0  # bytes that it may have again, and has not been told of
        self.expected = -1
        """Bytes that are still to come, where a ``content-length`` says so."""
        self._head = b""
        self._out: deque[bytes] = deque()
        self._at = 0  # where what is to be sent of the first of them begins
        self._tail: bytes | None = None
        self.unsent = 0
        """Bytes that wait to be sent."""
        self.full = False
        """Whether so much waits that no more should be made."""
        self.since = 0
        """The second in which it was last seen to move, where the peer gives it no room."""

    @property
    def messages(self) -> int:
        """Pieces that wait to be sent."""
        return len(self._out)

    def headers(self, block: bytes) -> None:
        """Send a header *block*, before anything else."""
        if self.open_out:
            self._head = block
            self.connection.mark(self)

    def send(self, piece: bytes) -> None:
        """Send *piece*, as part of the stream's data."""
        if self._tail is None and self.open_out:
            if not self.unsent:
                self.since = self.connection.second
                self.connection.mark(self)
            self._out.append(piece)
            size = len(piece)
            self.unsent += size
            self.connection.unsent += size
            if self.unsent > _FULL:
                self.full = True

    def finish(self, block: bytes = b"") -> None:
        """Send no more behind what was sent; as trailers, the header *block*."""
        if self._tail is None and self.open_out:
            self._tail = block
            self.connection.mark(self)

    def answer(self, head: bytes, piece: bytes, tail: bytes) -> None:
        """Send header blocks and one piece between them, all that there is: `headers`, `send` and `finish` in one."""
        if self.open_out:
            connection = self.connection
            self._head, self._tail, self.unsent = head, tail, len(piece)
            self._out.append(piece)
            self.since = connection.second
            connection.unsent += self.unsent
            connection.mark(self)

    def reset(self, code: int) -> None:
        """End it at once. Its listener hears no more."""
        if self.open_in or self.open_out:
            self.connection.reset(self, code)

    def credit(self, size: int) -> None:
        """So many bytes that came are taken: as many more may come."""
        if not (self.open_in or self.open_out):
            return
        connection = self.connection
        connection.credit(size)
        self._owed += size
        if self._owed > connection.ours.window >> 1 and self.open_in:
            connection.control(window_update(self.id, self._owed))
            self.room += self._owed
            self._owed = 0

    # -- for its connection

    def close(self) -> None:
        """It is over: nothing is sent or heard any more."""
        self.open_in = self.open_out = False
        self.listener = NOBODY
        if self.unsent or self._head or self._tail is not None:
            self._out.clear()
            self.connection.unsent -= self.unsent
            self._head, self._tail, self.unsent, self._at = b"", None, 0, 0
        window = self.connection.ours.window
        if self.room + self._owed < window:  # what nobody has taken
            self.connection.credit(window - self.room - self._owed)
            self.room, self._owed = window, 0

    def write(self, out: list[bytes | memoryview]) -> bool:
        """Write into *out* what can be sent now.

        :return: whether the windows hold more back.
        """
        connection = self.connection
        if self._head:
            ended = self._tail == b"" and not self._out
            out.append(headers(self._head, ended, self.id, connection.frame_most))
            self._head = b""
            if ended:
                self._ended(out)
                return False
        if self.unsent:
            room = min(connection.window, self.window, _AT_ONCE)
            if self.unsent <= room and self.unsent <= connection.frame_most and not self._at:
                ended = self._tail == b""
                out.append(data_head(self.unsent, ended, self.id))
                out += self._out
                self._out.clear()
                self._sent(self.unsent)
            else:
                ended = self._write_frames(out, room)
                if self.unsent:
                    return True
            if ended:
                self._ended(out)
                return False
        if self._tail is not None:
            if self._tail:
                out.append(headers(self._tail, True, self.id, connection.frame_most))
            else:
                out.append(data_head(0, True, self.id))
            self._ended(out)
        return False

    def _write_frames(self, out: list[bytes | memoryview], room: int) -> bool:
        """Write as much as there is *room* for, in frames; return whether that is the end."""
        ended = False
        while room > 0 and self.unsent:
            size = min(self.connection.frame_most, self.unsent, room)
            ended = size == self.unsent and self._tail == b""
            out.append(data_head(size, ended, self.id))
            self._sent(size)
            room -= size
            while size:
                piece = self._out[0]
                if len(piece) - self._at <= size:
                    out.append(memoryview(piece)[self._at :] if self._at else piece)
                    size -= len(piece) - self._at
                    self._at = 0
                    self._out.popleft()
                else:
                    out.append(memoryview(piece)[self._at : self._at + size])
                    self._at += size
                    size = 0
        return ended

    def _sent(self, size: int) -> None:
        connection = self.connection
        self.unsent -= size
        self.window -= size
        connection.unsent -= size
        connection.window -= size
        connection.patience.left += 2  # WINDOW_UPDATE of either kind is the answer to it
        self.since = connection.second

    def _ended(self, out: list[bytes | memoryview]) -> None:
        """END_STREAM has been sent."""
        self.open_out = False
        if not self.open_in:
            self.connection.forget(self)
        elif self.connection.server:  # RFC 9113 section 8.1: what still comes is of no interest
            out.append(reset(self.id, NO_ERROR))
            self.connection.ignore(self.id)
            self.connection.forget(self)


@implementer(IStreamListener)
class _Nobody:
    """Hears nothing more, or nothing yet."""

    def headers(self, fields: object) -> None:
        """See `IStreamListener`."""

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""

    def ended(self) -> None:
        """See `IStreamListener`."""

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""

    def roomy(self) -> None:
        """See `IStreamListener`."""


NOBODY = _Nobody()
