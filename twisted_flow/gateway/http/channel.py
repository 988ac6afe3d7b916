"""A connection of twisted.web's, made safe: limits that hold while reading, one judge of heads, draining."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from ...errors import BadRequest, RequestTimeout
from ...security.guard import Caller
from ..admission import Admission, Admissions
from ..buffered import Account
from ..connections import linger
from ..stalled import StallTimer
from .head import Refused, read_head, unfinished
from .open_paths import shown_in
from .request import FlowRequest

if TYPE_CHECKING:
    from .site import FlowSite

__all__ = ["FlowChannel"]

_PIECE, _WHOLE = 1 << 11, 1 << 16
"""Bytes that the library is given at once: of heads and chunks, which take it long, and of a body of known length."""
_PER_PIECE = 16  # steps that are reckoned for one of them


@implementer(IHalfCloseableProtocol)
class FlowChannel(HTTPChannel):
    """A connection of twisted.web's, whose every head is judged as the lane judges it."""

    requestFactory, speaks = FlowRequest, "http"
    site: FlowSite

    # The judge of heads holds these bounds, and says which was passed; the library would say 400.
    MAX_LENGTH = totalHeadersSize = maxHeaders = 2**31
    transport: Any
    _networkProducer: Any

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[bytes] = []
        self._since = 0
        self._stall_timer = StallTimer()
        self._receiving = self._gone = self._paused = self._whole = False
        self._successor: Any = None
        self._inbox = bytearray()  # what came and is not taken yet
        self._done, self._continues = 0, False  # whether the client waits to be told to send its body
        self._next_turn: IDelayedCall | None = None
        self._done_later: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.progressed()
        super().connectionMade()
        self._account = Account(self.site.connections.buffered)
        self.admissions = Admissions(self.site.connections.guard, self, self._admitted)
        self.site.connections.add(self)

    def progressed(self) -> None:
        """Restart the timer: something has come in."""
        self._since = self.site.connections.second

    def admit(self, request: FlowRequest) -> Caller | None:
        """Who asks by the head of *request*, which has just ended; while that is not known nothing more is read.

        :raises Refused: if it may not.
        """
        site, fields = self.site, request.requestHeaders
        if site.connections.guard is None or site.open.is_open(self._command, self._path, fields):
            return site.connections.anybody(self.transport)
        self.admissions.taken()
        asks = self.admissions.of(*shown_in(self._path, fields))
        if isinstance(asks, Caller):
            return asks
        if asks.error is not None:
            raise Refused(asks.error)
        self._continues = fields.hasHeader(b"expect")
        fields.removeHeader(b"expect")  # else the library would tell the client to go on
        return None

    def _admitted(self) -> None:
        """It is known who asks by the head that came last."""
        asks, request = self.admissions.current, self.requests[-1]
        if isinstance(asks, Admission):
            if asks.error is not None:
                self._refuse(Refused(asks.error))
                return
            request.caller = asks.caller
        if request.whole:
            request.process()
        elif self._continues:
            self._send100Continue()
        self._take()

    def keep(self, size: int) -> None:
        """Change the number of bytes that are counted as not answered yet.

        :raises Refused: if all connections together may keep no more.
        """
        if not self._account.keep(size):
            raise Refused(self._account.total.refusal())

    def dataReceived(self, data: bytes) -> None:
        if self._receiving:  # the end of a request gives back what had come in behind it
            super().dataReceived(data)
            return
        self._inbox += data
        if self._next_turn is None:
            self._take()
        if self.admissions.asking and len(self._inbox) > _WHOLE and not self._paused:  # a client that leaves is seen
            self._pause()

    def _take(self) -> None:
        """Take a piece of what came in, small enough that other connections get their turn soon."""
        self._next_turn = None
        steps = self.site.limits.max_steps // _PER_PIECE + 1
        while self._inbox and self._successor is None and not self._gone and not self.admissions.asking:
            if not steps:
                self._next_turn = self.site.connections.clock.callLater(0, self._take)
                self._pause()
                return
            steps -= 1
            most = _WHOLE if self.length else _PIECE
            piece = bytes(self._inbox[:most])
            del self._inbox[:most]
            self._receive(piece)
        if self._successor is not None and self._inbox:
            rest, self._inbox = bytes(self._inbox), bytearray()
            self._successor.dataReceived(rest)
        elif self.admissions.asking:
            return
        elif self._paused and not self._waitingForTransport and not self._gone:
            self.transport.resumeProducing()
        self._paused = False
        self._end_if_whole()

    def _pause(self) -> None:
        self._paused = True
        self.transport.pauseProducing()

    def _receive(self, data: bytes) -> None:
        if self._handlingRequest or (self.line_mode and not self._lines and not self._buffer):
            self.progressed()  # a head begins
        self._receiving = True
        try:
            super().dataReceived(data)
            if self._successor is not None:
                return
            if self.line_mode:
                unfinished(b"\r\n".join([*self._lines, self._buffer]), self.site.limits)
            decoder: Any = self._transferDecoder
            if decoder is not None and getattr(decoder, "state", "") == "BODY":  # of chunks: as much is announced
                self.requests[-1].check_size(self.requests[-1].content.tell() + decoder.length)
        except Refused as refused:
            self._refuse(refused)
        finally:
            self._receiving = False

    def requestDone(self, request: object) -> None:
        """The next request may be there already: after some others have their turn first."""
        self.keep(0)
        self._done += 1
        if self._done < self.site.limits.max_steps // 2:  # the library takes several times as long as the lane
            super().requestDone(request)
            self._end_if_whole()
            return
        self._done = 0
        self._done_later = self.site.connections.clock.callLater(0, self._really_done, request)

    def _really_done(self, request: object) -> None:
        self._done_later = None
        receiving, self._receiving = self._receiving, True
        try:
            super().requestDone(request)
        except Refused as refused:
            self._refuse(refused)
        finally:
            self._receiving = receiving
        self._end_if_whole()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether the connection stays open: RFC 9110 section 7.6.1 has lists there, in one field or in several."""
        fields = request.requestHeaders.getRawHeaders(b"connection", [])
        options = {option.strip().lower() for field in fields for option in field.split(b",")}
        if b"close" in options:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return version == b"HTTP/1.1" and b"close" not in options

    def lineReceived(self, line: bytes) -> None:
        if line or self._lines:
            self._lines.append(line)
        if not line and self._lines:
            read_head(b"\r\n".join(self._lines) + b"\r\n", self.site.limits, self.site.hosts)
            self._lines = []
        super().lineReceived(line)

    def upgrade(self, upgrade: Callable[[object, bytes, Caller | None], object], request: FlowRequest) -> None:
        """Give the connection to another protocol: *upgrade* makes it, from the transport and the request's bytes."""
        transport = self.transport
        self.setTimeout(None)
        self._networkProducer.unregisterProducer()
        rest, self._inbox = self._inbox, bytearray()
        self._forget()
        self._inbox, self._gone = rest, False
        fields = [b"%b: %b" % (name, b", ".join(values)) for name, values in request.requestHeaders.getAllRawHeaders()]
        raw = b"\r\n".join([request.method + b" " + request.uri + b" HTTP/1.1", *fields, b"", b""])
        self._successor = upgrade(transport, raw, request.caller)

    def rawDataReceived(self, data: bytes) -> None:
        if self._successor is not None:
            self._successor.dataReceived(data)
        else:
            super().rawDataReceived(data)

    def _respondToBadRequestAndDisconnect(self) -> None:
        raise Refused(BadRequest("not an HTTP request"))

    def _refuse(self, refused: Refused) -> None:
        transport = self.transport
        head = b"\r\n".join(self._lines)
        if not head and self.requests:  # of which the body is refused
            origin = self.requests[-1].requestHeaders.getRawHeaders(b"origin", [b""])[0]
            head = b"%b \r\nOrigin: %b\r\n" % (getattr(self, "_command", b""), origin)
        transport.write(self.site.refusals.answer(refused, head + b"\r\n"))
        self.connectionLost(Failure(ConnectionDone()))
        self.clearLineBuffer()
        self._networkProducer.unregisterProducer()
        transport.resumeProducing()
        linger(transport, self.site.connections, self._whole)

    def readConnectionLost(self) -> None:
        """The client sends no more. See `Lane.readConnectionLost`."""
        if self._successor is not None:
            self._successor.readConnectionLost()
            return
        self._whole = True
        self.site.connections.half_closed(self, self.site.limits.half_close_grace)
        self._end_if_whole()

    def writeConnectionLost(self) -> None: ...

    def _end_if_whole(self) -> None:
        """End, where no more can come in, and what has come is answered."""
        waiting = self._handlingRequest or self._inbox or self._next_turn is not None or self._done_later is not None
        if (
            self._whole
            and not waiting
            and not self.admissions.asking
            and not self._receiving
            and self._successor is None
        ):
            self._end()

    def _end(self) -> None:
        if not self._gone and not self.transport.disconnecting:
            self.loseConnection()

    def cut(self) -> None:
        """See `Connection`."""
        for request in list(self.requests):
            if request.answering is not None:
                request.answering.cancel()  # which answers it
        self._end()

    def drain(self) -> None:
        """See `Connections`: what has begun to come in is answered, then the connection ends."""
        if not self.requests:
            self.loseConnection()
        elif self._handlingRequest:
            self.persistent = False

    def sweep(self, second: int) -> None:
        """See `Connections`: the library times idle connections; the rest is here."""
        limits, waited = self.site.limits, second - self._since
        if self._stall_timer.seconds(self.transport, second, self._waitingForTransport) > limits.write_timeout:
            self.transport.abortConnection()
        elif self.line_mode and (self._lines or self._buffer) and waited > limits.header_timeout:
            self._refuse(Refused(RequestTimeout(f"no complete head within {limits.header_timeout:g} s")))
        elif self.requests and not self._handlingRequest and not self._lines and waited > limits.body_timeout:
            self._refuse(Refused(RequestTimeout(f"no byte of the body for {limits.body_timeout:g} s")))

    def connectionLost(self, reason: object = None) -> None:
        self._forget()
        super().connectionLost(reason)

    def _forget(self) -> None:
        self._gone = True
        self._inbox.clear()
        self.admissions.cancel()
        self.keep(0)
        self.site.connections.remove(self)
        for call in (self._next_turn, self._done_later):
            if call is not None and call.active():
                call.cancel()
