"""Doubles for tests: an executor called as a flow would, a flow without sockets, a gateway over bytes in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Self, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from .answer import Entry, Gateway, answer
from .assembly.wiring import make_service
from .client.client import Client
from .codec.codecs import codec_of
from .document import Document
from .document.identity import new_id
from .flow import Flow
from .gateway.buffered import Buffered
from .gateway.failure import error_writer
from .gateway.http.routes import HTTPSettings
from .gateway.served import Served
from .interfaces import IChannel, IDispatcher, IExchange, IGateway, IListenAddress
from .limits import Limits
from .loop import install_reactor, run_in_reactor
from .maybe import MaybeDeferred
from .message import Request, Response
from .outcome import Outcome
from .protocols import protocol_named

__all__ = ["Answering", "MemoryAddress", "MemoryConnection", "MemoryFlow", "MemoryGateway", "call"]


def call(
    uses: Any,
    on: str,
    docs: Document | Iterable[Document] = (),
    *,
    parameters: dict[str, Any] | None = None,
    **executor: Any,
) -> Response:
    """Call the endpoint *on* of an executor, as a flow would: its parameters are validated, what it returns is checked,
    and documents travel there and back as bytes.

    :param uses: what ``Flow.add(uses=)`` takes.
    :param docs: one document, or several.
    :param parameters: of the request.
    :param executor: what else ``Flow.add`` takes, such as ``uses_with``.
    :return: what a client would get.
    :raises FlowError: as a client would see it; what the method raised has its traceback in the log.
    """
    with MemoryFlow(Flow(protocol="http").add(uses=uses, **executor)) as flow:
        given = [docs] if isinstance(docs, Document) else list(docs)
        asked = {"parameters": parameters, "request_size": len(given) or 1, "return_results": True}
        return cast(Response, flow.post(on, given or None, **asked)[0])


class MemoryFlow:
    """A flow without sockets: ``with MemoryFlow(flow) as flow: flow.post('/index', docs)``.

    Executors run where the flow has them run; requests and answers travel as bytes, as they do over a socket.

    :param flow: which is not started.
    :param codec: what they travel as: 'json', as over HTTP, or 'bytes', as over gRPC.
    :param asyncio: whether `post` is an asynchronous iterator.
    """

    def __init__(self, flow: Flow, *, codec: str = "json", asyncio: bool = False) -> None:
        self.flow, self.codec, self.asyncio = flow, codec, asyncio

    _client: Any

    def __enter__(self) -> Self:
        install_reactor()
        self._service = make_service(replace(self.flow.config, listeners=()))
        run_in_reactor(self._service.start)
        channel = _MemoryChannel(self._service.dispatcher, self._service.config.limits, self.codec)
        reached = cast(IChannel, channel)
        self._client = Client(channel=reached, asyncio=True) if self.asyncio else Client(channel=reached)
        return self

    def __exit__(self, *problem: object) -> None:
        self._client.close()
        run_in_reactor(self._service.stop)

    def post(self, on: str, inputs: object = None, **options: Any) -> Any:
        """See `Client.post`."""
        return self._client.post(on, inputs, **options)


@implementer(IChannel, IExchange)
class _MemoryChannel:
    """To a dispatcher in this process, by way of bytes."""

    address = "memory"
    over, max_body, most = False, None, None

    def __init__(self, dispatcher: IDispatcher, limits: Limits, codec: str) -> None:
        self.dispatcher, self.codec = dispatcher, codec_of(subprotocol=codec).codec
        gateway = Gateway(id=new_id(), protocol="memory", limits=limits)
        self.entry = Entry(gateway=gateway, write_error=error_writer(self.codec, gateway.id))

    def exchange(self) -> Deferred[object]:
        """See `IChannel`."""
        return succeed(self)

    def close(self) -> Deferred[None]:
        """See `IChannel`."""
        return succeed(None)

    def send(self, request: Request) -> Deferred[Response]:
        """See `IExchange`."""
        codec, body = self.codec, self.codec.encode_request(request)
        answered: Deferred[Any] = maybeDeferred(answer, body, codec, self.dispatcher, self.entry, datetime.now(UTC))
        return answered.addCallback(lambda done: codec.decode_response(done.body))

    def end(self) -> None:
        """See `IExchange`."""


@implementer(IDispatcher)
class Answering:
    """A dispatcher that answers by a function: `MemoryGateway`'s, where there need be no flow.

    :param function: of the request; it changes the documents, raises a `FlowError`, or returns a Deferred after which
        they are as they should be.
    """

    def __init__(self, function: Callable[[Request], object] = lambda request: None) -> None:
        self.function = function
        self.requests: list[Request] = []
        """All that came."""

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        self.requests.append(request)
        outcome = self.function(request)
        response = Response(request, request.docs, request.groundtruths, [], in_place=True)
        return outcome.addCallback(lambda _: response) if isinstance(outcome, Deferred) else response


class MemoryGateway:
    """A gateway that listens nowhere: connections to it are made by `connect`, and bytes are handed over.

    All happens in the caller's thread, in time that passes by ``clock.advance``.

    :param protocol: 'http', 'websocket', 'grpc', or a plugin's; not one that binds its port itself, such as 'grpcio'.
    :param dispatcher: what answers.
    :param limits: what is bounded.
    :param http: what a flow says of HTTP, such as ``cors``: fields of `HTTPSettings`.
    """

    def __init__(self, protocol: str, dispatcher: IDispatcher, limits: Limits | None = None, **http: Any) -> None:
        limits = limits or Limits()
        self.clock = Clock()
        self.address = MemoryAddress(self.clock)
        served = Served(
            dispatcher=dispatcher,
            address=cast(IListenAddress, self.address),
            limits=limits,
            buffered=Buffered(limits.max_buffered),
            http=HTTPSettings(limits=limits, **http),
            clock=self.clock,
        )
        self.gateway: IGateway = protocol_named(protocol).make(served)
        self.gateway.startService()

    def connect(self) -> MemoryConnection:
        """A new connection."""
        return self.address.connect()

    def close(self) -> Deferred[None]:
        """Drain: fires when that is done."""
        stopped: Deferred[None] = self.gateway.stopService()
        return stopped


@implementer(IListenAddress)
class MemoryAddress:
    """Where a gateway listens that is reached by `connect` alone.

    :param clock: whose turns connections take.
    """

    port, tls = 0, None
    address = "memory"

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock
        self._factory: IProtocolFactory | None = None

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IListenAddress`."""
        self._factory = factory
        return succeed(_Listening(self))

    def close(self) -> None:
        """See `IListenAddress`."""
        self._factory = None

    def connect(self) -> MemoryConnection:
        """A new connection, which is closed at once where none is taken."""
        connection = MemoryConnection(self.clock)
        protocol = None if self._factory is None else self._factory.buildProtocol(cast(IAddress, None))
        if protocol is None:
            connection.disconnected = True
        else:
            connection.protocol = protocol
            protocol.makeConnection(connection)
        return connection


@implementer(IListeningPort)
class _Listening:
    def __init__(self, address: MemoryAddress) -> None:
        self._address = address

    def startListening(self) -> None:
        """Part of `IListeningPort`."""

    def stopListening(self) -> None:
        """No more connections."""
        self._address.close()

    def getHost(self) -> IAddress:
        """Part of `IListeningPort`."""
        return cast(IAddress, self._address)


@implementer(ITCPTransport)
class MemoryConnection(StringTransport):
    """A connection in memory, from the server's side: `receive` is what the client sends, ``value()`` what it has got.

    :param clock: whose turns it takes after each of them; None: there are none.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.half_closed = False
        self.protocol: Any = None
        self.clock = clock

    def loseWriteConnection(self) -> None:
        """The server sends no more."""
        self.half_closed = True

    @property
    def closed(self) -> bool:
        """Whether the server has ended the connection, or its side of it."""
        return self.half_closed or self.disconnecting or self.disconnected

    def abortConnection(self) -> None:
        """The server ends it at once."""
        super().abortConnection()
        self.disconnected = True
        self.lose()

    def lose(self) -> None:
        """The connection is gone."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def end_input(self) -> None:
        """The client sends no more, and may read on."""
        if not self.closed:
            self.protocol.readConnectionLost()
        self.turn()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Part of `ITCPTransport`."""

    def getTcpNoDelay(self) -> bool:
        """Part of `ITCPTransport`."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Part of `ITCPTransport`."""

    def getTcpKeepAlive(self) -> bool:
        """Part of `ITCPTransport`."""
        return False

    def receive(self, data: bytes) -> None:
        """The client sends *data*, and the server takes it, in as many turns as it wants."""
        if not self.disconnected:
            self.protocol.dataReceived(data)
        self.turn()

    def turn(self) -> None:
        """Let turns of the loop go by, until nobody wants another one."""
        clock = self.clock
        while clock is not None and any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
            clock.advance(0)
