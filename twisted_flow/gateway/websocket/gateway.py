"""The WebSocket gateway: it makes WebSockets of HTTP requests, at a port of its own or beside HTTP."""

from __future__ import annotations

import re
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ...answer import Entry, Gateway
from ...interfaces import IDispatcher, IGateway
from ...security.guard import Caller
from ..connections import Connections
from ..http.gateway import http_beside
from ..http.problem import write_problem
from ..served import Served
from ..trace_context import trace_in
from .library import SUBPROTOCOLS
from .protocol import FlowProtocol

__all__ = ["Handshake", "WebSocketGateway"]


_TRACE = re.compile(rb"\r\n(traceparent|tracestate): ([ -~]*)(?=\r\n)", re.IGNORECASE)


@implementer(IGateway)
class WebSocketGateway(Service):
    """See `IGateway`. Handshakes are HTTP's: without an HTTP gateway beside it, it has one that has no routes."""

    protocol = "websocket"

    def __init__(self, served: Served) -> None:
        self.http, self._own = http_beside(served)
        self.http.upgrade = Handshake(served.dispatcher, self.http.port.gateway, self.http.port.connections)

    @property
    def address(self) -> str:
        """See `IGateway`."""
        return self.http.address

    def startService(self) -> Deferred[None]:
        """Listen, unless the gateway beside it does."""
        super().startService()
        return self.http.startService() if self._own else succeed(None)

    def stopService(self) -> Deferred[None]:
        """Drain, unless the gateway beside it does: they share their connections."""
        super().stopService()
        return self.http.stopService() if self._own else succeed(None)


class Handshake:
    """Makes a WebSocket of an HTTP request.

    :param dispatcher: what answers.
    :param http: the gateway that takes the handshakes.
    :param connections: where the connection is counted, as an HTTP one is.
    """

    def __init__(self, dispatcher: IDispatcher, http: Gateway, connections: Connections) -> None:
        limits = http.limits
        self.dispatcher, self.limits, self.connections = dispatcher, limits, connections
        self.clock: object = connections.clock
        self.factory = WebSocketServerFactory(protocols=list(SUBPROTOCOLS), server="twisted_flow", reactor=self.clock)
        self.factory.protocol = FlowProtocol
        self.factory.setProtocolOptions(
            maxFramePayloadSize=limits.max_body,
            maxMessagePayloadSize=limits.max_body,
            autoPingInterval=limits.ping_interval,
            autoPingTimeout=limits.ping_timeout,
            openHandshakeTimeout=limits.header_timeout,
            failByDrop=False,
            webStatus=False,
            allowNullOrigin=True,  # whether it may was decided before: see `Origins`
        )
        gateway = http.beside("websocket")
        self.entry = Entry(gateway=gateway, write_error=write_problem)

    def __call__(self, transport: Any, request: bytes, caller: Caller | None) -> object:
        """Have *transport*, over which the handshake *request* came from *caller*.

        :return: the protocol, for whatever came behind it.
        """
        protocol: Any = self.factory.buildProtocol(transport.getPeer())
        protocol.flow_begin(self, replace(self.entry, caller=caller, **_trace(request)))
        transport.protocol = protocol
        self.connections.add(protocol)
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        return protocol


def _trace(head: bytes) -> dict[str, str]:
    """The trace that the *head* of a handshake names, for all that is asked on its WebSocket."""
    said = {name.lower(): value for name, value in _TRACE.findall(head)}
    return {
        "traceparent": trace_in(said.get(b"traceparent")),
        "tracestate": said.get(b"tracestate", b"").decode("latin-1"),
    }
