"""Where connections come in: listened on, counted, timed, and drained at the end."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from ..limits import Limits
from .connections import Connections
from .ending import Ending
from .served import Served

__all__ = ["Port"]

log = Logger()


class Port:
    """See the module.

    :param served: where, how many connections there may be, and how long they have at the end.
    """

    def __init__(self, served: Served) -> None:
        from twisted.internet import reactor  # chosen by now

        self.listen_at, self.limits = served.address, served.limits
        self.ending = Ending()
        clock = served.clock or cast(IReactorTime, reactor)
        self.connections = Connections(clock, served.buffered, self.ending)
        self.address = ""
        """'host:port' as it listens, once it does."""
        self._port: IListeningPort | None = None

    def open(self, factory: IProtocolFactory) -> Deferred[None]:
        """Listen, for the protocols that *factory* makes; each adds itself to `connections`, and removes itself."""

        def listening(port: IListeningPort) -> None:
            self._port = port
            self.address = self.listen_at.address
            self.connections.start()

        opening: Deferred[IListeningPort] = self.listen_at.listen(_Bounded(factory, self.connections, self.limits))
        return opening.addCallback(listening)

    def close(self) -> Deferred[None]:
        """Stop listening, have what was asked answered, and end the connections."""
        port, self._port = self._port, None
        if port is None:
            self.listen_at.close()
            return succeed(None)

        def stopped(_: object) -> Deferred[int]:
            self.listen_at.close()
            return self.connections.drain(self.limits.drain_grace)

        def drained(cut: int) -> None:
            if cut:
                log.warn(
                    "{cut} connections were cut; {requests} requests took longer than the grace, and were told so",
                    cut=cut,
                    requests=self.ending.cut,
                )

        stopping: Deferred[None] = port.stopListening() or succeed(None)
        return stopping.addCallback(stopped).addCallback(drained)


class _Bounded(Factory):
    """Closes what comes beyond the connections that there may be."""

    noisy = False

    def __init__(self, inner: IProtocolFactory, connections: Connections, limits: Limits) -> None:
        self.inner, self.connections, self.limits = inner, connections, limits

    def doStart(self) -> None:
        super().doStart()
        self.inner.doStart()

    def doStop(self) -> None:
        super().doStop()
        self.inner.doStop()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]
        if len(self.connections) >= self.limits.max_connections:
            return None
        made: IProtocol | None = self.inner.buildProtocol(addr)
        return made
