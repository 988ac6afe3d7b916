"""Over HTTP: each request a POST, on connections that are kept."""

from __future__ import annotations

import re
from collections import deque
from typing import Any, cast

import httptools
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..codec import json
from ..document import DocumentArray
from ..errors import FlowError, NotFound, Unavailable
from ..interfaces import IExchange, IStreamingChannel
from ..listen.hostport import joined
from ..loop.connecting import connect, reset
from ..message import Request, Response, ResponseStream, status_of
from ..outcome import dispatch_whole, promised
from ..security.access import PLAIN, Access, as_lines
from .http_stream import StreamConnection
from .no_connection import no_connection
from .problem import refused, told_in

__all__ = ["HTTPChannel"]

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_MOST = 16  # connections at once, unless told otherwise; requests beyond wait for one

_HEAD = (
    "POST /post HTTP/1.1\r\nHost: {host}\r\nUser-Agent: twisted_flow\r\nAccept: application/json\r\n"
    "{more}Content-Type: application/json\r\nContent-Length: "
)


class _Connection(Protocol):
    """One connection: one request at a time."""

    def __init__(self, channel: HTTPChannel) -> None:
        self.channel = channel
        self.answer: Deferred[tuple[int, bytes]] | None = None
        self.over: str | None = None
        """Why nothing more can be asked on it, if so."""

    def ask(self, raw: bytes) -> Deferred[tuple[int, bytes]]:
        """Send a request: its answer's status and body."""
        if self.over is not None:
            return fail(Unavailable(self.over))
        self.answer = Deferred(lambda _: reset(self.transport))
        self.parser, self.body = httptools.HttpResponseParser(self), bytearray()
        self.transport.write(raw)  # type: ignore[union-attr]
        return self.answer

    def dataReceived(self, data: bytes) -> None:
        if self.answer is None:
            self.fail(f"the server at {self.channel.address} spoke before it was asked: it does not speak HTTP/1.1")
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(f"the server does not speak HTTP: {error}")

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self.body += part

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status = self.parser.get_status_code()
        if status < 200:
            return
        answer, self.answer, body = self.answer, None, bytes(self.body)  # the next one may be asked at once
        if self.parser.should_keep_alive() and not self.channel.closed:
            self.channel.idle.append(self)
        else:
            self.transport.loseConnection()  # type: ignore[union-attr]
        self.channel.next()
        if answer is not None and not answer.called:
            answer.callback((status, body))

    def fail(self, why: str) -> None:
        """Fail the request that is under way."""
        answer, self.answer, self.over = self.answer, None, why
        self.transport.abortConnection()  # type: ignore[union-attr]
        if answer is not None and not answer.called:
            answer.errback(Unavailable(why))

    def connectionLost(self, reason: Any = None) -> None:
        self.channel.lost(self)
        answer, self.answer = self.answer, None
        self.over = self.over or f"the connection to {self.channel.address} was lost"
        if answer is not None and not answer.called:
            answer.errback(Unavailable(self.over))


@implementer(IStreamingChannel, IExchange)
class HTTPChannel:
    """See `IChannel`. It is its own exchange: HTTP knows no end of several requests."""

    def __init__(self, host: str, port: int, access: Access = PLAIN) -> None:
        self.host, self.port, self.address = host, port, joined(host, port)
        self._tls = access.context("http/1.1")
        self.over, self.max_body = False, None
        """See `IExchange`: each request may have a connection of its own, and one too large fails alone."""
        self.most: int | None = _MOST
        """See `IChannel`: each takes a connection."""
        self.idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self.closed = False
        self._head = _HEAD.format(host=self.address, more=as_lines(access.headers)).encode()
        self._connections = 0
        self._waiting: deque[Deferred[None]] = deque()

    def exchange(self) -> Deferred[HTTPChannel]:
        """See `IChannel`."""
        if self.idle:
            return succeed(self)

        def connected(connection: _Connection) -> HTTPChannel:
            self.idle.append(connection)
            return self

        return self._connect().addCallback(connected)

    def _connect(self) -> Deferred[_Connection]:
        self._connections += 1

        def made(connection: _Connection) -> _Connection:
            self._open.add(connection)
            if connection.over is not None:  # already
                self.lost(connection)
            return connection

        def failed(failure: Failure) -> Failure:
            self._connections -= 1
            self.next()
            return no_connection(failure, self.address)

        connecting: Deferred[_Connection] = connect(self.host, self.port, _Connection(self), self._tls)
        return connecting.addCallbacks(made, failed)

    def send(self, request: Request) -> Deferred[Response]:
        """See `IExchange`."""
        body = json.encode_request(request)
        return (
            self._ask(_raw(_traced(self._head, request), body))
            .addCallback(self._elsewhere, body, request)
            .addCallback(_response, request)
        )

    def _elsewhere(self, answered: tuple[int, bytes], body: bytes, request: Request) -> Any:
        """Where there is no ``/post``, the endpoint may have a route of its own."""
        endpoint = request.header.exec_endpoint
        if not _unrouted(answered) or not _PATH.fullmatch(endpoint):
            return answered
        head = _traced(self._head, request).replace(b"POST /post ", b"POST %b " % endpoint.encode(), 1)
        return self._ask(_raw(head, body)).addCallback(_routed, endpoint)

    def _ask(self, raw: bytes) -> Deferred[tuple[int, bytes]]:
        while self.idle:
            connection = self.idle.pop()
            if connection.over is None:
                return connection.ask(raw)
        if self.most is None or self._connections < self.most:
            return self._connect().addCallback(lambda connection: connection.ask(raw))
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting.addCallback(lambda _: self._ask(raw))

    def next(self) -> None:
        """Give a free or new connection to the request that has waited longest."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.called:
                waiting.callback(None)
                return

    def lost(self, connection: _Connection) -> None:
        """A connection has ended."""
        if connection in self._open:  # else nobody wanted it any more when it was made
            self._connections -= 1
            self._open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self.next()

    def stream(self, request: Request) -> Deferred[ResponseStream]:
        """See `IStreamingChannel`. Over HTTP a request is whole: one that comes in parts is sent when all have come."""
        if request.parts is not None:
            whole: Any = maybeDeferred(cast(Any, dispatch_whole), request, self.stream)
            return succeed(promised(whole, request))
        head = _traced(self._head, request)
        head = head.replace(b"Accept: application/json", b"Accept: application/jsonl", 1)
        raw = _raw(head, json.encode_request(request))
        connection = StreamConnection(self.address, request)

        def made(_: object) -> ResponseStream:
            connection.transport.write(raw)
            return connection.incoming.stream

        connecting: Deferred[object] = connect(self.host, self.port, connection, self._tls)
        return connecting.addCallbacks(made, no_connection, errbackArgs=(self.address,))

    def end(self) -> None:
        """See `IExchange`: nobody has to be told."""

    def close(self) -> Deferred[None]:
        """See `IChannel`."""
        self.closed = True
        for connection in list(self._open):
            if connection.answer is None:
                connection.transport.loseConnection()  # type: ignore[union-attr]
            else:
                connection.fail("the client was closed")
        return succeed(None)


def _traced(head: bytes, request: Request) -> bytes:
    """*head*, with the trace of *request*."""
    if not request.traceparent:
        return head
    more = as_lines([("traceparent", request.traceparent), ("tracestate", request.tracestate)])
    return head.replace(b"Accept: ", more.encode("latin-1") + b"Accept: ", 1)


def _raw(head: bytes, body: bytes) -> bytes:
    return b"".join((head, b"%d\r\n\r\n" % len(body), body))


def _response(answered: tuple[int, bytes], request: Request) -> Response:
    status, body = answered
    if 200 <= status < 300:
        try:
            response = json.decode_response(body)
        except FlowError as raised:
            raise Unavailable(f"the server's answer makes no sense: {raised}") from None
        if not response.request_id:
            raise Unavailable("the server's answer is none: it has no requestId")
        return response
    error = refused(status, body)
    if isinstance(error, Unavailable) and not told_in(body).title:
        raise error
    error.response = Response(request, DocumentArray(), DocumentArray(), [], status_of(error))
    raise error


def _unrouted(answered: tuple[int, bytes]) -> bool:
    """Whether the server has no such route (and not: an executor or the flow raised NotFound)."""
    status, body = answered
    if status != 404:
        return False
    told = told_in(body)
    return not told.title or told.detail.startswith("there is no /")


def _routed(answered: tuple[int, bytes], endpoint: str) -> tuple[int, bytes]:
    if _unrouted(answered):
        raise NotFound(f"the server has no /post, and no route for {endpoint}: expose it, or ask over another protocol")
    return answered
