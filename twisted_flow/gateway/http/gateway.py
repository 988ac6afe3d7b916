"""The HTTP gateway: a service that listens, serves a dispatcher, and drains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from zope.interface import implementer

from ...executor.table import Endpoint
from ...interfaces import IChanging, IGateway
from ..connections import Connections
from ..port import Port
from ..served import Served
from .app import App
from .lane import Lane
from .openapi import openapi
from .plain_heads import PlainHeads
from .refusal import Refusals
from .root import RootResource, Upgrade
from .routes import HTTPSettings, flow_routes
from .site import FlowSite
from .status import status

__all__ = ["HTTPFactory", "HTTPGateway"]


class HTTPFactory(Factory):
    """Makes the protocol of each new connection: a lane, with twisted.web behind it.

    :param app: the routes.
    :param connections: where they are counted.
    :param upgrade: makes a WebSocket of a request; None: there is none.
    """

    noisy = False

    def __init__(
        self, app: App, settings: HTTPSettings, connections: Connections, upgrade: Upgrade | None = None
    ) -> None:
        self.connections = connections
        self.refusals = Refusals(app.origins, app.entry)
        resource = RootResource(app, upgrade)
        self.site = FlowSite(resource, settings.limits, self.refusals, connections, settings.allowed_hosts)
        self.heads = PlainHeads(app.plain(), settings.limits, settings.allowed_hosts)

    def buildProtocol(self, addr: IAddress | None) -> Lane:
        """A lane."""
        return Lane(self.heads, self.connections, self.refusals, self.site.take_over)


@implementer(IGateway)
class HTTPGateway(Service):
    """See `IGateway`."""

    protocol = "http"
    upgrade: Upgrade | None = None
    """Makes a WebSocket of a request, where there is a gateway for that beside this one."""

    def __init__(self, served: Served) -> None:
        self.settings, self.dispatcher = served.http, served.dispatcher
        self.port = Port("http", served)
        endpoints: Mapping[str, Endpoint] = {
            name: endpoint for engine in reversed(served.engines) for name, endpoint in engine.endpoints.items()
        }
        routes = flow_routes(served.http, endpoints)
        document = msgspec.json.encode(openapi(served.http, routes))
        tell = partial(status, served.engines)
        self.app = App(served.dispatcher, served.http, routes, tell, document, self.port.gateway)
        self._forget: Callable[[], object] = lambda: None

    @property
    def address(self) -> str:
        """See `IGateway`."""
        return self.port.address

    def startService(self) -> Deferred[None]:
        """Listen."""
        super().startService()
        self.port.factory = factory = HTTPFactory(self.app, self.settings, self.port.connections, self.upgrade)
        changing = IChanging(self.dispatcher, None)
        if changing is not None:
            self._forget = changing.watch(factory.heads.forget)
        return self.port.startService()

    def stopService(self) -> Deferred[None]:
        """Stop listening, answer what was asked, close."""
        super().stopService()
        self._forget()
        return self.port.stopService()
