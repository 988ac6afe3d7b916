"""The HTTP gateway: a service that listens, serves a dispatcher, and drains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import cast

import msgspec
from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Factory
from zope.interface import implementer

from ...executor.table import Endpoint
from ...interfaces import IChanging, IDescribed, IGateway
from ...readiness import Readiness
from ...wire.http2.codes import PRIOR_KNOWLEDGE
from ..connections import Connections, hand_over
from ..port import Port
from ..served import Served
from .app import App
from .lane import Lane
from .open_paths import OpenPaths
from .openapi import openapi
from .plain_heads import PlainHeads
from .refusal import Refusals
from .root import RootResource, Upgrade
from .routes import HTTPSettings, flow_routes, without_routes
from .site import FlowSite
from .status import status

__all__ = ["HTTPFactory", "HTTPGateway", "http_beside"]


class HTTPFactory(Factory):
    """Makes the protocol of each new connection: a lane, with twisted.web behind it.

    :param app: the routes.
    :param connections: where they are counted.
    :param upgrade: makes a WebSocket of a request; None: there is none.
    :param prior_knowledge: makes the protocol of who begins with HTTP/2's preface; None: nobody may.
    """

    noisy = False

    def __init__(
        self,
        app: App,
        settings: HTTPSettings,
        connections: Connections,
        upgrade: Upgrade | None = None,
        prior_knowledge: Callable[[], IProtocol] | None = None,
    ) -> None:
        self.connections, self.prior_knowledge = connections, prior_knowledge
        self.refusals = Refusals(app.origins, app.entry)
        resource = RootResource(app, upgrade)
        opened = OpenPaths(app.open_paths, app.origins)
        self.site = FlowSite(resource, settings.limits, self.refusals, connections, opened, settings.allowed_hosts)
        self.heads = PlainHeads(app.plain(), settings.limits, settings.allowed_hosts, prior_knowledge is not None)

    def buildProtocol(self, addr: IAddress | None) -> Lane:
        """A lane."""
        return Lane(self.heads, self.connections, self.refusals, self._take_over)

    def _take_over(self, transport: object, received: bytes, whole: bool) -> None:
        """Have *transport*, over which *received* came; *whole*: and nothing else will."""
        if self.prior_knowledge is not None and received.startswith(PRIOR_KNOWLEDGE):
            hand_over(transport, self.prior_knowledge(), received, whole)
        else:
            self.site.take_over(transport, received, whole)


@implementer(IGateway)
class HTTPGateway(Service):
    """See `IGateway`."""

    protocol = "http"
    upgrade: Upgrade | None = None
    """Makes a WebSocket of a request, where there is a gateway for that beside this one."""
    prior_knowledge: Callable[[], IProtocol] | None = None
    """The same for HTTP/2."""

    def __init__(self, served: Served) -> None:
        self.settings, self.dispatcher = served.http, served.dispatcher
        self.port = Port("http", served)
        endpoints: Mapping[str, Endpoint] = {
            name: endpoint for engine in reversed(served.engines) for name, endpoint in engine.endpoints.items()
        }
        routes = flow_routes(served.http, endpoints)
        document = msgspec.json.encode(openapi(served.http, routes))
        self.app = App(
            served.dispatcher,
            served.http,
            routes,
            partial(self._status, served.engines, served.readiness),
            document,
            self.port.gateway,
            served.readiness,
            served.metrics,
        )
        self._forget: Callable[[], object] = lambda: None

    @property
    def address(self) -> str:
        """See `IGateway`."""
        return self.port.address

    def _status(self, engines: Iterable[IDescribed], readiness: Readiness) -> bytes:
        beside = {"websocket": self.upgrade, "grpc": self.prior_knowledge}
        served = [self.protocol, *(name for name, taken in beside.items() if taken is not None)]
        return status(engines, readiness, served)

    def startService(self) -> Deferred[None]:
        """Listen."""
        super().startService()
        self.port.factory = factory = HTTPFactory(
            self.app, self.settings, self.port.connections, self.upgrade, self.prior_knowledge
        )
        changing = IChanging(self.dispatcher, None)
        if changing is not None:
            self._forget = changing.watch(factory.heads.forget)
        return self.port.startService()

    def stopService(self) -> Deferred[None]:
        """Stop listening, answer what was asked, close."""
        super().stopService()
        self._forget()
        return self.port.stopService()


def http_beside(served: Served) -> tuple[HTTPGateway, bool]:
    """The HTTP gateway that takes the connections of another one that is made from *served*, and whether it is that
    one's own, which has no routes.
    """
    if served.beside is None:
        return HTTPGateway(replace(served, http=without_routes(served.http))), True
    return cast(HTTPGateway, getattr(served.beside, "http", served.beside)), False
