"""Over gRPC: each exchange a stream of ``/jina.JinaRPC/Call``, on one connection that is kept."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from ..codec import protobuf
from ..errors import BadRequest, FlowError, PayloadTooLarge, PermissionDenied, Unauthenticated, Unavailable
from ..interfaces import IExchange, IStreamingChannel
from ..listen.hostport import joined
from ..loop.connecting import connect
from ..message import Request, Response, ResponseStream, bare_request
from ..security.access import PLAIN, Access
from ..wire.grpc.statuses import CallFault, status_number
from .grpc_call import GRPCCall, call_block
from .grpc_connection import GRPCConnection
from .incoming import Incoming
from .no_connection import no_connection
from .outgoing import Outgoing

__all__ = ["GRPCChannel"]


_OF_STATUSES: dict[int, type[FlowError]] = {
    status_number("PERMISSION_DENIED"): PermissionDenied,
    status_number("RESOURCE_EXHAUSTED"): PayloadTooLarge,
    status_number("UNAUTHENTICATED"): Unauthenticated,
}


@implementer(IExchange)
class _Exchange:
    """One call, of many requests."""

    def __init__(self, connection: GRPCConnection, opening: bytes) -> None:
        self.address = connection.address
        self.over, self.max_body = False, None
        """See `IExchange`."""
        self._why: FlowError | None = None  # nothing can be sent any more
        self._requests: dict[str, Deferred[Response]] = {}
        self._call = GRPCCall(connection, opening, self._answered, self._ended)

    def send(self, request: Request) -> Deferred[Response]:
        """See `IExchange`."""
        if self._why is not None:
            kind = Unavailable if isinstance(self._why, PayloadTooLarge) else type(self._why)  # this one need not be
            return fail(kind(self._why.detail))
        message = protobuf.encode_request(request)
        if self.max_body is not None and len(message) > self.max_body:
            return fail(PayloadTooLarge.of(len(message), self.max_body))
        answer: Deferred[Response] = Deferred(lambda _: self._cancel(request.request_id))
        self._requests[request.request_id] = answer
        self._call.send(message)
        return answer

    def _cancel(self, request_id: str) -> None:
        """Drop a request: our servers are told, and any answer is ignored."""
        if self._requests.pop(request_id, None) is not None and self._call.ours:
            self._call.send(protobuf.encode_request(bare_request(request_id, cancels=True)))

    def end(self) -> None:
        """See `IExchange`."""
        self._call.finish()

    def _answered(self, message: bytes) -> None:
        try:
            response = protobuf.decode_response(message)
        except BadRequest as wrong:
            self._call.cancel()
            self._fail(Unavailable(f"{self.address}: not an answer: {wrong.detail}"))
            return
        answer = self._requests.pop(response.request_id, None)
        if answer is not None and not answer.called:
            answer.callback(response)

    def _ended(self, fault: CallFault | None) -> None:
        self._fail(_lost(self.address, fault))

    def _fail(self, why: FlowError) -> None:
        """Fail all requests that are not answered yet."""
        self.over, self._why = True, why
        requests, self._requests = self._requests, {}
        for answer in requests.values():
            if not answer.called:
                answer.errback(type(why)(why.detail))


@implementer(IStreamingChannel)
class GRPCChannel:
    """See `IChannel`. Its connection is its own, and no proxy's."""

    most: int | None = None

    def __init__(self, host: str, port: int, access: Access = PLAIN) -> None:
        self.host, self.port, self.address = host, port, joined(host, port)
        self._tls = access.context("h2")
        self._opening = call_block(self.address, "/jina.JinaRPC/Call", access)
        self._connections: list[GRPCConnection] = []
        self._waiters: list[Deferred[GRPCConnection]] = []
        self._connecting: Deferred[Any] | None = None

    def exchange(self) -> Deferred[Any]:
        """See `IChannel`."""
        return self._connected().addCallback(_Exchange, self._opening)

    def stream(self, request: Request) -> Deferred[ResponseStream]:
        """See `IStreamingChannel`."""
        outgoing = Outgoing(request)
        return self._connected().addCallback(self._stream, request, outgoing)

    def _stream(self, connection: GRPCConnection, request: Request, outgoing: Outgoing) -> ResponseStream:
        owed = 0

        def write(message: bytes, cost: int, last: bool) -> None:
            nonlocal owed
            call.send(message)
            if last:
                call.finish()
            owed += cost
            pay()

        def pay() -> None:
            nonlocal owed
            if owed and not call.full:
                more, owed = owed, 0
                outgoing.more(more)

        def take(message: bytes) -> None:
            try:
                incoming.answered(protobuf.decode_response(message))
            except BadRequest as wrong:
                incoming.over(Unavailable(f"{self.address}: not an answer: {wrong.detail}"))

        def end() -> None:
            outgoing.stop()
            call.cancel()

        incoming = Incoming(request, lambda paused: call.pause(paused), end)
        call = GRPCCall(
            connection, self._opening, take, lambda fault: incoming.over(_lost(self.address, fault)), pay
        )  # which is no error where it has ended well
        outgoing.start(write, incoming.over)
        return incoming.stream

    def _connected(self) -> Deferred[Any]:
        """The connection; a new one, unless there is one that has room. Who asks meanwhile waits for the same."""
        for connection in self._connections:
            if connection.usable:
                return succeed(connection)
        waiter: Deferred[GRPCConnection] = Deferred(self._give_up)
        self._waiters.append(waiter)
        if len(self._waiters) == 1:
            connection = GRPCConnection(self.address)

            def not_greeted(failure: Failure) -> Failure:
                connection.greeted.addErrback(lambda _: None)  # where it is closed later: nobody waits for that
                return no_connection(failure, self.address)

            connecting = connect(self.host, self.port, connection, self._tls).addCallback(lambda _: connection.greeted)
            self._connecting = connecting.addErrback(not_greeted).addBoth(self._settle)
        return waiter.addCallback(self._with_room)

    def _with_room(self, connection: GRPCConnection) -> Any:
        """*connection*, unless those who waited with this one have taken all its room."""
        if connection.usable:
            return connection
        if connection.why is not None or not connection.http2.streams:
            raise Unavailable(f"{self.address}: {connection.why or 'the server takes no calls'}")
        return self._connected()

    def _give_up(self, waiter: Deferred[GRPCConnection]) -> None:
        """Whoever waits does so no more."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if not self._waiters and self._connecting is not None:
            self._connecting.cancel()

    def _settle(self, made: GRPCConnection | Failure) -> None:
        self._connecting = None
        if isinstance(made, GRPCConnection):
            self._connections = [each for each in self._connections if each.why is None]
            made.spare = bool(self._connections)
            self._connections.append(made)
        waiters, self._waiters = self._waiters, []
        for each in waiters:
            if not each.called:
                each.callback(made)

    def close(self) -> Deferred[None]:
        """See `IChannel`."""
        connections, self._connections = self._connections, []
        for each in connections:
            if each.why is None:
                each.close()
        if self._connecting is not None:
            self._connecting.cancel()
        return succeed(None)


def _lost(address: str, fault: CallFault | None) -> FlowError:
    """The error for what is not answered yet when a call has ended, because of *fault*; None: it just did."""
    kind = Unavailable if fault is None else _OF_STATUSES.get(fault.code, Unavailable)
    detail = "the stream ended" if fault is None else fault.detail
    return kind(f"{address}: {detail or 'the connection was closed'}")
