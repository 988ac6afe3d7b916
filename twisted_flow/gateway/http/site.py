"""twisted.web, made safe: limits that hold while reading, one judge of heads, problem details, draining."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from ...document.identity import new_id
from ...errors import BadRequest, PayloadTooLarge, RequestTimeout
from ...limits import Limits
from .connections import Connections, linger
from .head import Refused, read_head, unfinished
from .problem import problem
from .unread import Unread
from .wire import answer_bytes

__all__ = ["FlowSite"]


class FlowRequest(Request):
    """A request whose body is bounded while it comes in, and never lies in a file."""

    channel: Any
    content: Any

    def gotLength(self, length: int | None) -> None:
        """Called with the head; None where the body comes in chunks."""
        self.content = BytesIO()
        self._hold(length or 0)

    def handleContentChunk(self, data: bytes) -> None:
        """Called with each part of the body."""
        self._hold(self.content.tell() + len(data))
        super().handleContentChunk(data)

    def _hold(self, size: int) -> None:
        most = self.channel.site.limits.max_body
        if size > most:
            raise Refused(PayloadTooLarge(f"a body of more than {most} bytes"))

    def process(self) -> None:
        """Called with the whole request."""
        if self.uri[:1] not in (b"/", b"*"):  # RFC 9112 section 3.2.2: a target in absolute form is as good
            self.uri = b"/" + self.uri.partition(b"://")[2].partition(b"/")[2]
            self.path = self.uri.partition(b"?")[0]
        if self.channel.site.connections.draining:
            self.channel.persistent = False
            self.setHeader(b"connection", b"close")
        super().process()


class FlowChannel(HTTPChannel):
    """A connection of twisted.web's, whose every head is judged as the lane judges it."""

    requestFactory = FlowRequest
    site: FlowSite

    # The judge of heads holds these bounds, and says which was passed; the library would say 400.
    MAX_LENGTH = totalHeadersSize = maxHeaders = 2**31
    transport: Any
    _networkProducer: Any

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[bytes] = []
        self._since = 0
        self._unread = Unread()
        self._receiving = False
        self._successor: Any = None

    def connectionMade(self) -> None:
        self._since = self.site.connections.second
        super().connectionMade()
        self.site.connections.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self._handlingRequest or not self._lines:
            self._since = self.site.connections.second
        if self._receiving:  # the end of a request gives back what had come in behind it
            super().dataReceived(data)
            return
        self._receiving = True
        try:
            super().dataReceived(data)
            if self.line_mode:
                unfinished(b"\r\n".join([*self._lines, self._buffer]), self.site.limits)
        except Refused as refused:
            self._refuse(refused)
        finally:
            self._receiving = False

    def lineReceived(self, line: bytes) -> None:
        if line or self._lines:
            self._lines.append(line)
        if not line and self._lines:
            raw = b"\r\n".join(self._lines) + b"\r\n"
            self._lines = []
            read_head(raw, self.site.limits)
        super().lineReceived(line)

    def upgrade(self, upgrade: Any, request: FlowRequest) -> None:
        """Give the connection to another protocol: *upgrade* makes it, from the transport and the request's bytes."""
        transport = self.transport
        self.setTimeout(None)
        self._networkProducer.unregisterProducer()
        self.site.connections.remove(self)
        fields = [b"%b: %b" % (name, b", ".join(values)) for name, values in request.requestHeaders.getAllRawHeaders()]
        raw = b"\r\n".join([request.method + b" " + request.uri + b" HTTP/1.1", *fields, b"", b""])
        self._successor = upgrade(transport, raw)

    def rawDataReceived(self, data: bytes) -> None:
        if self._successor is not None:
            self._successor.dataReceived(data)
        else:
            super().rawDataReceived(data)

    def _respondToBadRequestAndDisconnect(self) -> None:
        raise Refused(BadRequest("not an HTTP request"))

    def _refuse(self, refused: Refused) -> None:
        transport = self.transport
        refusal = problem(refused.error, new_id(), refused.status)
        transport.write(answer_bytes(refused.status, refusal, close=True))
        self.connectionLost(Failure(ConnectionDone()))
        self.clearLineBuffer()
        self._networkProducer.unregisterProducer()
        transport.resumeProducing()
        linger(transport, self.site.connections)

    def drain(self) -> None:
        """See `Connections`: what has begun to come in is answered, then the connection ends."""
        if not self.requests:
            self.loseConnection()
        elif self._handlingRequest:
            self.persistent = False

    def sweep(self, second: int) -> None:
        """See `Connections`: the library times idle connections; the rest is here."""
        limits, waited = self.site.limits, second - self._since
        if self._unread.seconds(self.transport, second, self._waitingForTransport) > limits.write_timeout:
            self.transport.abortConnection()
        elif self._lines and waited > limits.header_timeout:
            self._refuse(Refused(RequestTimeout(f"no whole head within {limits.header_timeout:g} s")))
        elif self.requests and not self._handlingRequest and not self._lines and waited > limits.body_timeout:
            self._refuse(Refused(RequestTimeout(f"nothing of the body for {limits.body_timeout:g} s")))

    def connectionLost(self, reason: Any = None) -> None:
        self.site.connections.remove(self)
        super().connectionLost(reason)


class FlowSite(Site):
    """twisted.web's face: what the lane does not take goes here.

    :param resource: what answers.
    :param limits: what is bounded.
    """

    protocol: Any = FlowChannel
    displayTracebacks = False
    connections: Connections

    def __init__(self, resource: IResource, limits: Limits) -> None:
        super().__init__(
            resource, requestFactory=FlowRequest, timeout=limits.idle_timeout, parsePOSTFormSubmission=False
        )
        self.limits = limits

    def log(self, request: Any) -> None:
        """Not a line for each request: what fails is logged where it fails."""

    def take_over(self, transport: Any, received: bytes) -> None:
        """Have *transport*, over which *received* came."""
        channel = self.buildProtocol(transport.getPeer())
        transport.protocol = channel
        channel.makeConnection(transport)
        channel.dataReceived(received)
        if self.connections.draining and transport.protocol is channel:
            channel.drain()
