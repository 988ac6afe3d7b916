"""A connection of HTTP/2 to a server, for calls of gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import Unavailable
from ..loop import next_turn
from ..loop.connecting import reset
from ..wire.http2.codes import NAMES, ConnectionFault
from ..wire.http2.connection import Connection
from ..wire.http2.fields import Fields
from ..wire.http2.interfaces import IHTTP2Owner
from ..wire.http2.settings import OurSettings
from ..wire.http2.stream import Stream

__all__ = ["GRPCConnection"]

_HANDSHAKE = 10  # seconds
_MOST_TICKS = 60  # seconds that count, of those in which nothing came


@final
@implementer(IHTTP2Owner, IPushProducer)
class GRPCConnection(Protocol):
    """See the module.

    :param address: of the server, for errors.
    :param window: bytes that may come on a call and are not taken.
    """

    transport: Any

    def __init__(self, address: str, window: int = 2**20) -> None:
        self.address = address
        self.full = False
        self.spare = False
        """Whether it is there because another one had no room: then it ends with its last call."""
        self.why: str | None = None
        """Why it has ended."""
        self.greeted: Deferred[GRPCConnection] = Deferred(lambda _: self.abort())
        """Fires when the server has said hello."""
        self._later: Callable[[Callable[[], object]], object] = next_turn()
        # Calls that are paused hold up no others: there is a bound for each, and none to speak of for all.
        self.http2 = Connection(self, False, OurSettings(window=window, connection_window=2**30, fields=2**20))
        self._clock = _clock()
        self._second = int(self._clock.seconds())
        self._ended = False

    @property
    def usable(self) -> bool:
        """Whether another call may begin on it."""
        return self.why is None and self.greeted.called and self.http2.has_room

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self.greeted.addTimeout(_HANDSHAKE, self._clock, lambda _, seconds: self._silent())
        self.http2.start()

    def _silent(self) -> Failure:
        self.abort()
        return Failure(Unavailable(f"cannot connect to {self.address}: it has not answered in {_HANDSHAKE} s"))

    def dataReceived(self, data: bytes) -> None:
        second = int(self._clock.seconds())
        for _ in range(min(second - self._second, _MOST_TICKS)):
            self.http2.tick()
        self._second = second
        self.http2.receive(data)
        if not self.greeted.called and self.http2.inbound.greeted and self.why is None:
            self.greeted.callback(self)

    def write(self, data: bytes) -> None:
        """See `IHTTP2Owner`."""
        if not self._ended:
            self.transport.write(data)

    def hurry(self) -> None:
        """See `IHTTP2Owner`: what answers lead to comes from elsewhere."""

    def later(self, function: Callable[[], object]) -> None:
        """See `IHTTP2Owner`."""
        self._later(function)

    def opened(self, stream: Stream, fields: Fields) -> Any:
        """See `IHTTP2Owner`: a server opens none."""

    def going_away(self, last: int, code: int) -> None:
        """See `IHTTP2Owner`."""
        self.closed()

    def closed(self) -> None:
        """See `IHTTP2Owner`."""
        if (self.http2.going or self.spare) and not self.http2.streams:
            self.later(self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self.http2.streams and self.why is None:
            self.close()

    def failed(self, fault: ConnectionFault) -> None:
        """See `IHTTP2Owner`."""
        self._end(f"{NAMES[fault.code]}: {fault.detail}")
        self.close()

    def close(self) -> None:
        """End it, when all that was written is out."""
        self._end("the connection was closed")
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """End it at once."""
        self._end("the connection was closed")
        if self.transport is not None:
            reset(self.transport)

    def pauseProducing(self) -> None:
        """The server does not read."""
        self.full = True

    def resumeProducing(self) -> None:
        """It reads again."""
        self.full = False
        self.http2.flush()

    def stopProducing(self) -> None:
        """Part of `IPushProducer`."""

    def connectionLost(self, reason: Any = None) -> None:
        said = getattr(reason, "getErrorMessage", str)()
        self._end(f"the connection was lost: {said}" if said else "the connection was lost")

    def _end(self, why: str) -> None:
        if self.why is None:
            self.why = why
            self.http2.lose()
            self._ended = True
            if not self.greeted.called:
                self.greeted.errback(Unavailable(f"cannot connect to {self.address}: {why}"))


def _clock() -> Any:
    from twisted.internet import reactor  # chosen by now

    return reactor
