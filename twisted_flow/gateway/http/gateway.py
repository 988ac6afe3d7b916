"""The HTTP gateway: a service that listens, serves a dispatcher, and drains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from ...interfaces import IDispatcher, IEngine, IGateway, IPlace
from ..buffered import Buffered
from ..connections import Connections
from ..ending import Ending
from .app import App
from .front import Front
from .lane import Lane
from .openapi import openapi
from .plain import Heads
from .refusal import Refusals
from .routes import HTTPSettings, flow_routes
from .site import FlowSite
from .status import status

__all__ = ["Door", "HTTPGateway"]

log = Logger()


class Door(Factory):
    """Makes the protocol of each new connection: a lane, with twisted.web behind it.

    :param app: the routes.
    :param clock: hands out time.
    :param buffered: counts what its connections keep.
    :param upgrade: makes a WebSocket of a request; None: there is none.
    """

    noisy = False

    def __init__(self, app: App, settings: HTTPSettings, clock: Any, buffered: Buffered, upgrade: Any = None) -> None:
        self.limits = settings.limits
        self.refusals = Refusals(app.origins, app.entry)
        self.site = FlowSite(Front(app, upgrade), settings.limits, self.refusals, settings.allowed_hosts)
        self.site.reactor = clock
        self.connections = self.site.connections = Connections(self.site.take_over, clock, buffered, app.ending)
        if upgrade is not None:
            upgrade.begin(self.connections)
        self.heads = Heads(app.plain(), settings.limits, settings.allowed_hosts)

    def buildProtocol(self, addr: Any) -> Lane | None:
        """A lane; None, which closes, where there are as many connections as may be."""
        if len(self.connections) >= self.limits.max_connections:
            return None
        return Lane(self.heads, self.connections, self.refusals)


@implementer(IGateway)
class HTTPGateway(Service):
    """See `IGateway`.

    :param dispatcher: the flow.
    :param settings: what the flow says of HTTP.
    :param place: where to listen.
    :param engines: whose health ``/status`` tells.
    :param buffered: counts what its connections keep.
    :param upgrade: makes a WebSocket of a request; None: there is none.
    """

    protocol = "http"
    address = ""

    def __init__(
        self,
        dispatcher: IDispatcher,
        settings: HTTPSettings,
        place: IPlace,
        engines: Sequence[IEngine],
        buffered: Buffered,
        upgrade: Any = None,
    ) -> None:
        self.settings, self.place, self.buffered, self.upgrade = settings, place, buffered, upgrade
        endpoints: Mapping[str, Any] = {
            name: endpoint for engine in reversed(engines) for name, endpoint in engine.endpoints.items()
        }
        routes = flow_routes(settings, endpoints)
        document = msgspec.json.encode(openapi(settings, routes))
        self.app = App(dispatcher, settings, routes, partial(status, engines), document, Ending())
        self._port: IListeningPort | None = None

    def startService(self) -> Deferred[None]:
        """Listen."""
        from twisted.internet import reactor

        super().startService()
        self.door = Door(self.app, self.settings, reactor, self.buffered, self.upgrade)

        def listening(port: IListeningPort) -> None:
            self._port = port
            self.address = self.place.address
            self.door.connections.start()

        opening: Deferred[IListeningPort] = self.place.listen(self.door)
        return opening.addCallback(listening)

    def stopService(self) -> Deferred[None]:
        """Stop listening, answer what was asked, close."""
        super().stopService()
        port, self._port = self._port, None
        if port is None:
            self.place.close()
            return succeed(None)

        def stopped(_: Any) -> Deferred[int]:
            self.place.close()
            return self.door.connections.drain(self.settings.limits.drain_grace)

        def drained(cut: int) -> None:
            if cut:
                log.warn(
                    "{cut} connections were cut; {requests} requests took longer than the grace, and were told so",
                    cut=cut,
                    requests=self.app.ending.cut,
                )

        stopping: Deferred[Any] = port.stopListening() or succeed(None)
        return stopping.addCallback(stopped).addCallback(drained)
