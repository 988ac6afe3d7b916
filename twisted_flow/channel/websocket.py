"""Over WebSocket: many requests on one connection that is kept."""

from __future__ import annotations

import os
import re
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from ..codec import protobuf
from ..errors import BadRequest, FlowError, PayloadTooLarge, Unauthenticated, Unavailable
from ..interfaces import IExchange, IStreamingChannel
from ..listen.hostport import joined
from ..loop.connecting import connect, reset
from ..message import Request, Response, ResponseStream, bare_request
from ..security.access import PLAIN, Access
from ..wire.websocket import BINARY, frame_head, masked
from .incoming import Incoming
from .no_connection import no_connection
from .outgoing import Outgoing
from .problem import OF_STATUSES

__all__ = ["WebSocketChannel"]

_OURS = "twisted_flow"
_END_OF_INPUT = b"\x00"
_TOO_LARGE = 1009
_OF_CODES = {1008: Unauthenticated}
_STATUS = re.compile(r"\[(\d{3})\]")


@implementer(IExchange)
class _Quiet:
    """Discards Autobahn's log: whoever waits for an answer on a connection gets its errors."""

    def __getattr__(self, level: str) -> object:
        return lambda *said, **more: None


class _Connection(WebSocketClientProtocol):
    """One connection, and all that is under way on it."""

    flow_channel: WebSocketChannel
    transport: Any

    log = _Quiet()

    def flow_begin(self, channel: WebSocketChannel) -> None:
        """Called before the connection is made."""
        self.flow_channel = channel
        self.flow_opened: Deferred[object] = Deferred(lambda _: self.transport.abortConnection())
        self.flow_requests: dict[str, Deferred[Response]] = {}
        self.flow_ours = False
        self.flow_refused: FlowError | None = None  # why the handshake was
        self.flow_incoming: Incoming | None = None  # where this is a stream's own connection
        self.flow_outgoing: Outgoing | None = None  # the same
        self.flow_full, self.flow_owed = False, 0  # whether the server does not read, and what was written meanwhile

    def onConnect(self, response: Any) -> None:
        """Note which server it is: Jina's answers only at the end of the input, ours at once."""
        self.flow_ours = response.headers.get("server") == _OURS

    def failHandshake(self, reason: str) -> None:
        """The server refuses: Autobahn tells the status within *reason*."""
        status = _STATUS.search(reason)
        if status is not None and int(status[1]) in OF_STATUSES:
            self.flow_refused = OF_STATUSES[int(status[1])](f"{self.flow_channel.address} has refused the handshake")
        super().failHandshake(reason)

    def onOpen(self) -> None:
        """The handshake is done."""
        self.flow_opened.callback(self)

    max_body: int | None = None

    @property
    def over(self) -> bool:
        """See `IExchange`."""
        return not self.flow_usable()

    def flow_usable(self) -> bool:
        """Whether something can be sent."""
        return bool(self.state == self.STATE_OPEN)

    def send(self, request: Request) -> Deferred[Response]:
        """See `IExchange`."""
        if not self.flow_usable():
            return fail(Unavailable(f"the connection to {self.flow_channel.address} was lost"))
        payload = protobuf.encode_request(request)
        if self.max_body is not None and len(payload) > self.max_body:
            return fail(PayloadTooLarge.of(len(payload), self.max_body))
        answer: Deferred[Response] = Deferred(lambda _: self.flow_cancel(request.request_id))
        self.flow_requests[request.request_id] = answer
        self.flow_write(payload)
        return answer

    def flow_stream(self, request: Request, outgoing: Outgoing) -> ResponseStream:
        """Send *request*, whose answer comes in parts, and which may itself; the connection is for that alone."""
        transport = self.transport
        self.flow_incoming = incoming = Incoming(
            request,
            lambda paused: (transport.pauseProducing if paused else transport.resumeProducing)(),
            self.flow_end_stream,
        )
        self.flow_outgoing = outgoing
        transport.registerProducer(self, True)
        outgoing.start(self.flow_write_part, incoming.over)
        return incoming.stream

    def flow_write_part(self, message: bytes, cost: int, last: bool) -> None:
        """Send a message of the request; go on where the server reads."""
        self.flow_write(message)
        self.flow_owed += cost
        self.flow_pay()

    def flow_pay(self) -> None:
        if not self.flow_full and self.flow_outgoing is not None:
            owed, self.flow_owed = self.flow_owed, 0
            self.flow_outgoing.more(owed)

    def flow_end_stream(self) -> None:
        if self.flow_outgoing is not None:
            self.flow_outgoing.stop()
        reset(self.transport)

    def pauseProducing(self) -> None:
        """The server does not read."""
        self.flow_full = True

    def resumeProducing(self) -> None:
        """It reads again."""
        self.flow_full = False
        self.flow_pay()

    def stopProducing(self) -> None:
        """Part of `IPushProducer`."""

    def flow_write(self, payload: bytes) -> None:
        """Send a message."""
        mask = os.urandom(4)
        self.transport.write(frame_head(BINARY, len(payload), mask) + masked(payload, mask))

    def flow_cancel(self, request_id: str) -> None:
        """Drop a request: our servers are told, and any answer is ignored."""
        self.flow_requests.pop(request_id, None)
        if self.flow_ours and self.flow_usable():
            self.flow_write(protobuf.encode_request(bare_request(request_id, cancels=True)))

    def end(self) -> None:
        """See `IExchange`. Ours needs not be told; others close after it."""
        if not self.flow_ours and self.flow_usable():
            self.flow_channel.connection = None
            self.sendMessage(_END_OF_INPUT, True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """An answer came."""
        try:
            response = protobuf.decode_response(payload)
        except BadRequest:
            self.sendClose(3003, "not an answer")
            return
        if self.flow_incoming is not None:
            self.flow_incoming.answered(response)
            return
        answer = self.flow_requests.pop(response.request_id, None)
        if answer is not None and not answer.called:
            answer.callback(response)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """The connection has closed: requests without an answer fail."""
        channel = self.flow_channel
        if channel.connection is self:
            channel.connection = None
        kind: type[FlowError] = _OF_CODES.get(code, Unavailable)
        if code == _TOO_LARGE and len(self.flow_requests) == 1:  # else nobody knows which one is
            kind = PayloadTooLarge
        why = self.flow_refused or kind(f"the connection to {channel.address} was lost: {code} {reason or ''}".rstrip())
        if not self.flow_opened.called:
            self.flow_opened.errback(why)
        if self.flow_incoming is not None:
            self.flow_incoming.over(why)  # unless it has ended well
        requests, self.flow_requests = self.flow_requests, {}
        for answer in requests.values():
            if not answer.called:
                answer.errback(why)


@implementer(IStreamingChannel)
class WebSocketChannel:
    """See `IChannel`."""

    most: int | None = None

    def __init__(self, host: str, port: int, access: Access = PLAIN) -> None:
        self.host, self.port, self.address = host, port, joined(host, port)
        self._tls, self._headers = access.context("http/1.1"), dict(access.headers)
        self._scheme = "wss" if access.tls else "ws"
        self.connection: Any = None

    def exchange(self) -> Deferred[object]:
        """See `IChannel`."""
        if self.connection is not None and self.connection.flow_usable():
            return succeed(self.connection)

        def opened(connection: object) -> object:
            self.connection = connection
            return connection

        return self._connect().addCallback(opened)

    def stream(self, request: Request) -> Deferred[ResponseStream]:
        """See `IStreamingChannel`."""
        outgoing = Outgoing(request)

        def opened(connection: Any) -> ResponseStream:
            stream: ResponseStream = connection.flow_stream(request, outgoing)
            return stream

        return self._connect().addCallback(opened)

    def _connect(self) -> Deferred[Any]:
        """A new connection, whose handshake is done."""
        factory = WebSocketClientFactory(f"{self._scheme}://{self.address}/", headers=self._headers)
        factory.protocol = _Connection
        factory.setProtocolOptions(openHandshakeTimeout=10, failByDrop=False)
        connection: Any = factory.buildProtocol(None)
        connection.flow_begin(self)

        def not_opened(failure: Failure) -> Any:
            connection.flow_opened.addErrback(lambda _: None)  # where it is closed later: nobody waits for that
            return no_connection(failure, self.address)

        connecting = connect(self.host, self.port, connection, self._tls).addCallback(lambda _: connection.flow_opened)
        return connecting.addErrback(not_opened)

    def close(self) -> Deferred[None]:
        """See `IChannel`."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.sendClose(1000)
        return succeed(None)
