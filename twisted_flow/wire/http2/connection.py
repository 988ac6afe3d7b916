"""One connection, at either end: its streams, its windows, and what leaves together. `Inbound` reads what comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from .codes import (
    CANCEL,
    INITIAL_WINDOW,
    MOST_WINDOW,
    NO_ERROR,
    PING,
    PREFACE,
    REFUSED_STREAM,
    SETTINGS_TIMEOUT,
    ConnectionFault,
)
from .frames import frame, goaway, reset, settings, window_update
from .inbound import Inbound
from .interfaces import IHTTP2Owner, IStreamListener
from .patience import Patience
from .settings import OurSettings, TheirSettings
from .stream import Stream

__all__ = ["Connection"]

_IGNORED = 1024  # streams that have ended, of which frames may still be under way
_ROUND_TRIP = b"draining"  # a ping: what the peer had sent before it saw the first GOAWAY comes before the answer
_ACKNOWLEDGED = 30  # seconds that a peer has to take our SETTINGS


@final
class Connection:
    """See the module. Nothing is sent by it, or heard, before `start`.

    :param owner: has the socket.
    :param server: which end this is.
    :param ours: what the peer is held to.
    """

    def __init__(self, owner: IHTTP2Owner, server: bool, ours: OurSettings) -> None:
        self.owner, self.server, self.ours, self.theirs = owner, server, ours, TheirSettings()
        self.streams: dict[int, Stream] = {}
        self.window = INITIAL_WINDOW
        """Bytes that the peer takes, of all streams."""
        self.room = ours.connection_window
        """Bytes that it may send. (That it has been told of, or is just about to be.)"""
        self._owed = 0
        self.unsent = 0
        """Bytes of all streams that wait to be sent."""
        self.last = 0
        """The last stream that the peer has opened."""
        self.ended = self.draining = False
        self.going = False
        """Whether the peer takes no further streams."""
        self.second = 0
        self.acknowledged = False
        """Whether the peer has taken our SETTINGS."""
        self.patience = Patience()
        self._ignored: dict[int, None] = {}
        self.next = 1
        """The stream that this end opens next, where it is a client."""
        self._drained_at = 0
        self._taken: int | None = None  # the last stream that is answered, once that is known
        self._dirty: dict[Stream, None] = {}
        self._blocked: dict[Stream, None] = {}  # those that the windows hold back
        self._flushing = self._due = False
        self.inbound = Inbound(self)

    @property
    def frame_most(self) -> int:
        """Bytes of a frame's payload that the peer takes."""
        return self.theirs.frame_size

    def start(self) -> None:
        """Say hello."""
        hello = b"" if self.server else PREFACE
        hello += settings(self.ours.told(self.server))
        self.owner.write(hello + window_update(0, self.ours.connection_window - INITIAL_WINDOW))

    def receive(self, data: bytes) -> None:
        """Take what has come. All that it leads to leaves as one write."""
        if not self.ended:
            self._take(lambda: self.inbound.take(data))

    def go_on(self) -> None:
        """Take more of what has come, in another turn of the loop."""
        if not self.ended:
            self._take(self.inbound.go_on)

    def _take(self, take: Callable[[], object]) -> None:
        self._flushing = True
        try:
            take()
        except ConnectionFault as fault:
            self.fail(fault)
        self._flushing = False
        if self._dirty:
            self.flush()

    def open(self, block: bytes, listener: IStreamListener) -> Stream:
        """Open a stream, by the header *block* of a request. (Where there `has_room`.)"""
        stream = Stream(self, self.next, self.theirs.window)
        self.next += 2
        stream.listener = listener
        self.streams[stream.id] = stream
        stream.headers(block)
        return stream

    @property
    def has_room(self) -> bool:
        """Whether another stream can be opened."""
        most = self.theirs.streams
        usable = not self.ended and not self.going and self.next < MOST_WINDOW
        return usable and (most is None or len(self.streams) < most)

    def fail(self, fault: ConnectionFault) -> None:
        """End the connection: the peer has broken a rule."""
        if not self.ended:
            self.ended = True
            self.owner.write(goaway(self.last, fault.code, fault.detail))
            self.owner.failed(fault)
            self.lose()

    def lose(self) -> None:
        """The socket is gone, or will be."""
        self.ended = True
        for stream in list(self.streams.values()):
            listener = stream.listener
            self.forget(stream)
            listener.lost(CANCEL)
        self._dirty.clear()
        self._blocked.clear()

    def drain(self) -> None:
        """Take the streams that are under way to this end, and no more. `empty` tells when they are answered."""
        if not self.draining and not self.ended:
            self.draining, self._drained_at = True, self.second
            self.owner.write(goaway(MOST_WINDOW, NO_ERROR) + frame(PING, 0, 0, _ROUND_TRIP))

    @property
    def empty(self) -> bool:
        """Whether a drain is at its end."""
        return self._taken is not None and not self.streams

    def ponged(self, payload: bytes) -> None:
        """A ping is answered."""
        if payload == _ROUND_TRIP and self.draining:
            self._settle()

    def _settle(self) -> None:
        """From now on no stream is taken."""
        if self._taken is None and not self.ended:
            self._taken = self.last
            self.owner.write(goaway(self.last, NO_ERROR))
            self.owner.closed()

    def takes(self, id: int) -> bool:
        """Whether a new stream of the peer's is taken at all."""
        return self._taken is None or id <= self._taken

    def tick(self) -> None:
        """A second has gone by."""
        self.second += 1
        self.patience.tick()
        if self.draining and self.second > self._drained_at + 1:
            self._settle()  # though the ping is not answered
        if not self.acknowledged and self.second > _ACKNOWLEDGED:
            self.fail(ConnectionFault(SETTINGS_TIMEOUT, "SETTINGS were not acknowledged"))

    def stalled(self, seconds: float) -> list[Stream]:
        """The streams that the peer's windows hold back for longer than that."""
        return [each for each in self._blocked if self.second - each.since > seconds]

    def ping(self) -> None:
        """Ask whether the peer is there."""
        self.owner.write(frame(PING, 0, 0, bytes(8)))

    # -- what leaves

    def control(self, data: bytes) -> None:
        """Send a frame that is no stream's."""
        if not self.ended:
            self.owner.write(data)

    def mark(self, stream: Stream) -> None:
        """*stream* has something to send."""
        self._dirty[stream] = None
        if not self._flushing and not self._due:
            self._due = True
            self.owner.later(self.flush)

    def flush(self) -> None:
        """Send what can be sent."""
        self._due = False
        if self._flushing or self.ended or self.owner.full:
            return
        self._flushing = True
        out: list[bytes | memoryview] = []
        dirty, self._dirty = self._dirty, {}
        roomy = []
        for stream in dirty:
            if stream.write(out):
                if self.window > 0 and stream.window > 0:
                    self._dirty[stream] = None  # the others have their turn
                else:
                    self._blocked[stream] = None
            elif stream.full:
                stream.full = False
                roomy.append(stream)
        if out:
            self.owner.write(b"".join(out))
        self._flushing = False
        for stream in roomy:
            stream.listener.roomy()
        if self._dirty and not self._due:
            self._due = True
            self.owner.later(self.flush)

    def flush_early(self) -> None:
        """Send what there is while more that came is taken still: the peer can make use of it meanwhile."""
        taking, self._flushing = self._flushing, False
        self.flush()
        self._flushing = taking
        self.owner.hurry()

    def widened(self, stream: Stream | None) -> None:
        """The peer takes more: on *stream*, or of all."""
        if stream is None:
            self._dirty.update(self._blocked)
            self._blocked.clear()
        elif stream in self._blocked:
            del self._blocked[stream]
            self._dirty[stream] = None

    def credit(self, size: int) -> None:
        """So many bytes that came are taken."""
        self._owed += size
        if self._owed > self.ours.connection_window >> 1:
            self.control(window_update(0, self._owed))
            self.room += self._owed
            self._owed = 0

    # -- streams that end

    def reset(self, stream: Stream, code: int) -> None:
        """End *stream* at once."""
        self.control(reset(stream.id, code))
        self.ignore(stream.id)
        self.forget(stream)

    def refuse(self, id: int) -> None:
        """Take no stream *id*: the peer may try again."""
        self.patience.spend("HEADERS, of more streams than there may be")
        self.control(reset(id, REFUSED_STREAM))
        self.ignore(id)

    def ignore(self, id: int) -> None:
        """What still comes on that stream is of no interest."""
        self._ignored[id] = None
        if len(self._ignored) > _IGNORED:
            del self._ignored[next(iter(self._ignored))]

    def ignores(self, id: int) -> bool:
        """Whether it is."""
        return id in self._ignored

    def forget(self, stream: Stream) -> None:
        """*stream* is over."""
        if self.streams.pop(stream.id, None) is not None:
            stream.close()
            if self._dirty:
                self._dirty.pop(stream, None)
            if self._blocked:
                self._blocked.pop(stream, None)
            self.owner.closed()
