"""The WebSocket's part of a gateway: it makes WebSockets of HTTP requests."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory

from ...answer import Entry, Gateway
from ...document.identity import new_id
from ...interfaces import IDispatcher
from ...limits import Limits
from ..connections import Connections
from ..http.problem import write_problem
from .protocol import SUBPROTOCOLS, FlowProtocol

__all__ = ["Upgrade"]


class Upgrade:
    """Makes a WebSocket of an HTTP request.

    :param dispatcher: what answers.
    :param debug: whether callers are told all that is known of a failure.
    """

    connections: Connections

    def __init__(self, dispatcher: IDispatcher, limits: Limits, debug: bool, reactor: Any) -> None:
        self.dispatcher, self.limits, self.reactor = dispatcher, limits, reactor
        self.debug = debug
        self.factory = WebSocketServerFactory(protocols=list(SUBPROTOCOLS), server="twisted_flow", reactor=reactor)
        self.factory.protocol = FlowProtocol
        self.factory.setProtocolOptions(
            maxFramePayloadSize=limits.max_body,
            maxMessagePayloadSize=limits.max_body,
            autoPingInterval=limits.ping_interval,
            autoPingTimeout=limits.ping_timeout,
            openHandshakeTimeout=limits.header_timeout,
            failByDrop=False,
            webStatus=False,
        )

    def begin(self, connections: Connections) -> None:
        """Be a part of the gateway that has *connections*."""
        self.connections = connections
        gateway = Gateway(
            id=new_id(),
            protocol="websocket",
            limits=self.limits,
            debug=self.debug,
            ended=connections.ending.error,
        )
        self.entry = Entry(gateway=gateway, write_error=write_problem)

    def __call__(self, transport: Any, request: bytes) -> Any:
        """Have *transport*, over which the handshake *request* came.

        :return: the protocol, for whatever came behind it.
        """
        protocol: Any = self.factory.buildProtocol(transport.getPeer())
        protocol.flow_begin(self)
        transport.protocol = protocol
        self.connections.add(protocol)
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        return protocol
