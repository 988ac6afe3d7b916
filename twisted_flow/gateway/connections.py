"""The open connections of a gateway: counted, timed once a second, and drained at the end."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall

from ..loop.transport import was_reset
from ..readiness import Readiness
from ..security.guard import Caller, Guard
from .buffered import Buffered
from .callers import peer_of
from .ending import LAST_WORDS, Ending

__all__ = ["Connections", "hand_over", "linger"]

_LINGER_SECONDS, _LINGER_BYTES = 5, 2**24


class Connection(Protocol):
    """What `Connections` needs of a protocol."""

    transport: Any

    def sweep(self, second: int) -> None:
        """Called once a second, with the number of the second."""

    def drain(self) -> None:
        """End when the requests that have begun to come in are answered."""

    def cut(self) -> None:
        """Answer all that is under way with Unavailable at once, and close."""


class Connections:
    """See the module.

    :param clock: hands out time.
    :param buffered: counts what they keep that is not answered yet.
    :param ending: tells why a request was cancelled.
    :param readiness: tells when the server is about to stop: then answers end their connections.
    :param guard: finds out who asks; None: anybody may.
    """

    def __init__(
        self,
        clock: IReactorTime,
        buffered: Buffered,
        ending: Ending,
        readiness: Readiness,
        guard: Guard | None = None,
    ) -> None:
        self.clock, self.readiness, self.guard = clock, readiness, guard
        self.buffered, self.ending = buffered, ending
        self.second = 0
        """The number of the second; counted, since a look at the clock for each request would cost more."""
        self.draining = False
        self.logged = False
        """Whether each request is logged, with where it comes from."""
        self._open: set[Connection] = set()
        self._half_closed: dict[Connection, IDelayedCall] = {}
        self._drained: Deferred[None] | None = None
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock

    def __len__(self) -> int:
        return len(self._open)

    def anybody(self, transport: Any) -> Caller | None:
        """Who asks over *transport*, where nobody asks who that is; None: nor does the log want to know where from."""
        return Caller(peer_of(transport)) if self.logged else None

    def protocols(self) -> list[str]:
        """The protocol of each that is open."""
        return [getattr(each, "speaks", "") for each in self._open]

    def start(self) -> None:
        """Begin to count the seconds."""
        self._sweeping.start(1.0, now=False)

    def add(self, connection: Connection) -> None:
        """A connection is open."""
        self._open.add(connection)

    def remove(self, connection: Connection) -> None:
        """It is not any more, or is another protocol's."""
        self._open.discard(connection)
        grace = self._half_closed.pop(connection, None)
        if grace is not None and grace.active():
            grace.cancel()
        if self.draining and not self._open:
            self.clock.callLater(0, self._end_if_empty)  # another protocol may take it over yet

    def half_closed(self, connection: Connection, grace: float) -> None:
        """The client of *connection* sends no more; if that is not ended in *grace* seconds, it has gone for good."""
        self._half_closed[connection] = self.clock.callLater(grace, self._give_up, connection)

    def _give_up(self, connection: Connection) -> None:
        if not connection.transport.disconnecting:  # else what was answered is on its way, and is timed as such
            connection.transport.abortConnection()

    def _sweep(self) -> None:
        self.second += 1
        for connection in list(self._open):
            transport = connection.transport
            if was_reset(transport):
                transport.abortConnection()
            else:
                connection.sweep(self.second)

    def drain(self, grace: float) -> Deferred[int]:
        """End every connection when its requests are answered; after *grace* seconds end what is left.

        :return: fires with the number of connections that had to be cut.
        """
        self.draining = True
        drained: Deferred[int] = Deferred()
        self._drained = Deferred()
        alarm = self.clock.callLater(grace, self._cut, drained)

        def done(_: object) -> None:
            if self._sweeping.running:
                self._sweeping.stop()
            if alarm.active():
                alarm.cancel()
                drained.callback(0)

        self._drained.addCallback(done)
        for connection in list(self._open):
            connection.drain()
        self._end_if_empty()
        return drained

    def _end_if_empty(self) -> None:
        if not self._open and self._drained is not None and not self._drained.called:
            self._drained.callback(None)

    def _cut(self, drained: Deferred[int]) -> None:
        late = list(self._open)
        self.ending.cutting = True
        for connection in late:
            connection.cut()

        def end() -> None:
            for connection in list(self._open):
                connection.transport.abortConnection()
            drained.callback(len(late))

        self.clock.callLater(LAST_WORDS, end)


class _Lingering(protocol.Protocol):
    """A connection whose last answer is written: what still comes in is dropped, so that the answer gets through.

    (To close with unread bytes would reset the connection, and the client might lose the answer; RFC 9112 section 9.6.)
    """

    def __init__(self, connections: Connections) -> None:
        self.connections, self.until = connections, connections.second + _LINGER_SECONDS
        self.left = _LINGER_BYTES

    def connectionMade(self) -> None:
        self.connections.add(self)

    def dataReceived(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left < 0:
            self.transport.abortConnection()  # type: ignore[union-attr]

    def sweep(self, second: int) -> None:
        """See `Connection`."""
        if second > self.until:
            self.transport.abortConnection()  # type: ignore[union-attr]

    def drain(self) -> None:
        """See `Connection`: there is nothing to wait for but the client."""
        self.transport.loseConnection()  # type: ignore[union-attr]

    def cut(self) -> None:
        """See `Connection`."""
        self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: object = None) -> None:
        self.connections.remove(self)


def linger(transport: Any, connections: Connections, whole: bool) -> None:
    """Write no more on *transport*, read what still comes in for a while, and close.

    :param whole: whether nothing can come in any more.
    """
    transport.protocol = lingering = _Lingering(connections)
    (transport.loseConnection if whole else transport.loseWriteConnection)()
    lingering.makeConnection(transport)


def hand_over(transport: Any, protocol: Any, received: bytes, whole: bool) -> None:
    """Let *protocol* have *transport*, over which *received* came.

    :param whole: whether nothing can come in any more.
    """
    transport.protocol = protocol
    protocol.makeConnection(transport)
    protocol.dataReceived(received)
    if whole and transport.protocol is protocol:
        protocol.readConnectionLost()
