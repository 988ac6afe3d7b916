"""Where connections come in: listened on, counted, timed, and drained at the end."""

from __future__ import annotations

from typing import cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from ..answer import Gateway
from ..document.identity import new_id
from ..interfaces import IGateway
from ..limits import Limits
from ..telemetry.numbers import Traffic
from .connections import Connections
from .ending import Ending
from .served import Served

__all__ = ["Port"]

log = Logger()


@implementer(IGateway)
class Port(Service):
    """See the module. It is a gateway by itself, for one whose protocol needs no more than its `factory`.

    :param protocol: the gateway's.
    :param served: where, how many connections there may be, and how long they have at the end.
    """

    factory: IProtocolFactory
    """Makes the protocols; each adds itself to `connections`, and removes itself. To be set before the start."""

    def __init__(self, protocol: str, served: Served) -> None:
        from twisted.internet import reactor  # chosen by now

        self.protocol, self.listen_at, self.limits = protocol, served.address, served.limits
        self._numbers = served.record.numbers.all
        self.ending = Ending(self._numbers)
        clock = served.clock or cast(IReactorTime, reactor)
        self.connections = Connections(clock, served.buffered, self.ending, served.readiness, served.guard)
        self.gateway = Gateway(
            id=new_id(),
            protocol=protocol,
            limits=served.limits,
            debug=served.debug,
            ended=self.ending.error,
            record=served.record.over(protocol),
        )
        self.connections.logged = served.record.logged
        self.address = ""
        """'host:port' as it listens, once it does."""
        self._port: IListeningPort | None = None

    def startService(self) -> Deferred[None]:
        """Listen."""
        super().startService()

        def listening(port: IListeningPort) -> None:
            self._port = port
            self.address = self.listen_at.address
            self.connections.start()
            self._numbers.connections.append(self.connections.protocols)

        factory = _Bounded(self.factory, self.connections, self.limits, self._numbers.traffic)
        opening: Deferred[IListeningPort] = self.listen_at.listen(factory)
        return opening.addCallback(listening)

    def stopService(self) -> Deferred[None]:
        """Stop listening, have what was asked answered, and end the connections."""
        super().stopService()
        if self.connections.protocols in self._numbers.connections:
            self._numbers.connections.remove(self.connections.protocols)
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
                    "{cut} connections were closed at the end of the drain grace, "
                    "{requests} requests answered Unavailable",
                    cut=cut,
                    requests=self.ending.cut,
                )

        stopping: Deferred[None] = port.stopListening() or succeed(None)
        return stopping.addCallback(stopped).addCallback(drained)


class _Bounded(Factory):
    """Closes what comes beyond the connections that there may be."""

    noisy = False

    def __init__(self, inner: IProtocolFactory, connections: Connections, limits: Limits, traffic: Traffic) -> None:
        self.inner, self.connections, self.limits = inner, connections, limits
        self.traffic = traffic
        """Where the loop's transports count what comes and goes."""

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
