"""`Client`: calls a flow that is elsewhere."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Generic, Literal, Self, Unpack, cast, overload
from weakref import finalize

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from ..errors import ConfigurationError
from ..interfaces import IChannel, IExchange, IStreamingChannel
from ..listen.hostport import joined
from ..loop import Mailbox, from_thread, run_in_reactor
from ..message import Header, Parameters, Request, Response, ResponseStream
from ..protocols import protocol_named
from ..security.access import PLAIN, access
from .both_ways import AsyncOpenStream, OpenStream
from .faces import post_in_thread, post_on_loop
from .inputs import Asking, are_there, asking_for, requests_of
from .progress import Progress
from .sending import begun, connected
from .server import server_named
from .streaming import AsyncDocumentStream, DocumentStream
from .told import Callback, Told
from .verbs import Asyncio, PostOptions, ServerOptions, StreamOptions, verb

__all__ = ["Client"]

_WINDOW = 64  # requests in flight


class Client(Generic[Asyncio]):
    """Calls a flow: ``Client(port=12345).post('/search', Document(text='hello'), return_results=True)``.

    :param host: of the server; 'host:port' names the port too, 'http://host:port' the protocol as well; 'https://',
        'wss://' and 'grpcs://' are over TLS, at port 443 unless another is named.
    :param protocol: 'grpc', 'http' or 'websocket'.
    :param port: of the server.
    :param port_expose: the same as *port*, by its older name.
    :param asyncio: whether `post` is an asynchronous iterator (``async for response in client.post(...)``).
    :param window: requests in flight.
    :param channel: what leads to the server, in place of an address.
    :param ca: a PEM file with the authorities that are trusted, under TLS; None: the system's.
    :param cert: a PEM file with the certificate that the server is shown.
    :param key: a PEM file with its key; None: it stands in *cert*.
    :param token: the server is shown (``Authorization: Bearer``).
    :param headers: further header fields of each request; over gRPC metadata, of a WebSocket its handshake's.
    :raises ConfigurationError: where that names no server.
    """

    @overload
    def __init__(
        self: Client[Literal[False]],
        host: str = ...,
        *,
        asyncio: Literal[False] = False,
        **where: Unpack[ServerOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Client[Literal[True]], host: str = ..., *, asyncio: Literal[True], **where: Unpack[ServerOptions]
    ) -> None: ...
    def __init__(
        self,
        host: str = "localhost",
        *,
        protocol: str = "grpc",
        port: int | None = None,
        port_expose: int | None = None,
        asyncio: bool = False,
        window: int = _WINDOW,
        channel: IChannel | None = None,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.asyncio: Asyncio = cast(Asyncio, asyncio)
        self.window = window
        if channel is None:
            server = server_named(protocol, host, port if port is not None else port_expose)
            self.protocol, self.host, self.port, tls = server
            self.address = joined(self.host, self.port)
            brought = access(tls, ca, cert, key, token, headers)
            make = protocol_named(self.protocol).make_channel
            make = make if brought == PLAIN else partial(make, access=brought)
            self._channel: Callable[[], IChannel] = partial(make, self.host, self.port)
        else:
            self.protocol, self.host, self.port, self.address = protocol, "", 0, channel.address
            self._channel = lambda: channel
        self._kept: list[IChannel] = []  # one, once there is something to send
        finalize(self, _drop, self._kept).atexit = False

    @overload
    def post(
        self: Client[Literal[True]],
        on: str,
        inputs: object = None,
        on_done: Callback | None = None,
        on_error: Callback | None = None,
        on_always: Callback | None = None,
        *,
        return_results: bool = False,
        **options: Unpack[PostOptions],
    ) -> AsyncIterator[Response]: ...
    @overload
    def post(
        self: Client[Literal[False]],
        on: str,
        inputs: object = None,
        on_done: Callback | None = None,
        on_error: Callback | None = None,
        on_always: Callback | None = None,
        *,
        return_results: Literal[True],
        **options: Unpack[PostOptions],
    ) -> list[Response]: ...
    @overload
    def post(
        self: Client[Literal[False]],
        on: str,
        inputs: object = None,
        on_done: Callback | None = None,
        on_error: Callback | None = None,
        on_always: Callback | None = None,
        *,
        return_results: Literal[False] = False,
        **options: Unpack[PostOptions],
    ) -> None: ...
    def post(
        self,
        on: str,
        inputs: object = None,
        on_done: Callback | None = None,
        on_error: Callback | None = None,
        on_always: Callback | None = None,
        *,
        parameters: Parameters | None = None,
        target_peapod: str = "",
        request_size: int = 100,
        show_progress: bool = False,
        continue_on_error: bool = False,
        return_results: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Send *inputs* to the endpoint *on*, and wait for all answers.

        :param inputs: None, a Document, dict, str, bytes or ndarray; any iterable of such, or of tuples of a document
            and what it should become, or a function that returns one; for an asyncio client asynchronous ones too.
        :param on_done: called with each response that is a success.
        :param on_error: called with each response that is not, in place of raising its error; where no response came,
            with the error.
        :param on_always: called with each response.
        :param parameters: for the executors.
        :param target_peapod: a regular expression for the executors that are meant.
        :param request_size: documents in a request; 0: all in one.
        :param show_progress: whether a line on standard error tells how far it has come.
        :param continue_on_error: whether the rest is sent though something failed.
        :param return_results: whether the responses are returned, in the order of their coming.
        :param timeout: seconds for each request, told to the server; when they are over the client waits no longer.
        :return: None, or a list of `Response`; of an asyncio client an asynchronous iterator of `Response`.
        :raises FlowError: as the server says, and `Unavailable` where there is none.
        """
        if request_size < 0:
            raise ValueError(f"request_size={request_size}: it is a number of documents, or 0 for all in one request")
        for name, callback in (("on_done", on_done), ("on_error", on_error), ("on_always", on_always)):
            if iscoroutinefunction(callback):
                raise TypeError(f"{name} is an async def, which nobody would await: callbacks are plain functions")
        asking = asking_for(on, target_peapod, parameters, request_size or sys.maxsize, timeout)
        told = Told(on_done, on_error, on_always, continue_on_error, Progress() if show_progress else None)
        connect = partial(self._connected, timeout)
        if self.asyncio:
            return post_on_loop(connect, self.window, inputs, asking, told)
        lazy = told.wanted and not are_there(inputs)
        responses = post_in_thread(connect, self.window, requests_of(inputs, asking), told, lazy)
        if return_results:
            return list(responses)
        for _ in responses:
            pass
        return None

    @overload
    def stream(
        self: Client[Literal[True]], on: str, inputs: object = None, **options: Unpack[StreamOptions]
    ) -> AsyncDocumentStream: ...
    @overload
    def stream(
        self: Client[Literal[False]], on: str, inputs: object = None, **options: Unpack[StreamOptions]
    ) -> DocumentStream: ...
    def stream(
        self,
        on: str,
        inputs: object = None,
        *,
        parameters: Parameters | None = None,
        target_peapod: str = "",
        timeout: float | None = None,
    ) -> DocumentStream | AsyncDocumentStream:
        """Send *inputs*, as one request, to the endpoint *on*; its answer comes in parts. See `post`.

        :return: the documents as they come, to be iterated over (of an asyncio client by ``async for``); at the end its
            ``response`` has routes and status. An error is raised behind the documents that came before it.
        """
        asking = asking_for(on, target_peapod, parameters, sys.maxsize, timeout)
        (request,) = requests_of(inputs, asking)
        made = AsyncDocumentStream if self.asyncio else DocumentStream
        return made(partial(self._streamed, request), timeout)

    @overload
    def open(self: Client[Literal[True]], on: str, **options: Unpack[StreamOptions]) -> AsyncOpenStream: ...
    @overload
    def open(self: Client[Literal[False]], on: str, **options: Unpack[StreamOptions]) -> OpenStream: ...
    def open(
        self, on: str, *, parameters: Parameters | None = None, target_peapod: str = "", timeout: float | None = None
    ) -> OpenStream | AsyncOpenStream:
        """Begin a request to the endpoint *on*, whose documents are sent one by one while its answer comes. See
        `stream`. (Over HTTP they are collected here, and sent at the end.)

        :return: takes documents by ``send(document)``, which waits while the server takes no more, and ``end()``; and
            is iterated over as what `stream` returns is.
        """
        request = asking_for(on, target_peapod, parameters, sys.maxsize, timeout).request([])
        made = AsyncOpenStream if self.asyncio else OpenStream
        return made(self._streamed, request, timeout)

    def _streamed(self, request: Request) -> Deferred[ResponseStream]:
        """On the reactor."""
        channel = IStreamingChannel(self._channel_kept(), None)
        if channel is None:
            raise ConfigurationError(f"{self.protocol} has no answers in parts")
        return begun(channel, replace(request, stream=True), self.address, request.timeout)

    index = verb("/index")
    search = verb("/search")
    update = verb("/update")
    delete = verb("/delete")

    def check_input(self, inputs: object) -> None:
        """Make documents of *inputs*, and send none.

        :raises TypeError: on what is none.
        """
        for _ in requests_of(inputs, Asking(Header("/"), {}, 100, None)):
            pass

    def close(self) -> None:
        """End the connections that are kept; the next call makes new ones."""
        if self._kept:
            run_in_reactor(self._kept.pop().close)

    async def aclose(self) -> None:
        """The same for an asyncio client."""
        if self._kept:
            mailbox: Mailbox[object] = Mailbox()
            close = self._kept.pop().close
            mailbox.start()(lambda: close().addBoth(mailbox.put))
            await mailbox.get()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.aclose()

    def _connected(self, timeout: float | None) -> Deferred[IExchange]:
        """On the reactor: a new exchange."""
        first = not self._kept
        channel = self._channel_kept()

        def tell(exchange: IExchange) -> IExchange:
            if first and self.host:
                print(f"connected to the gateway at {self.address}!", file=sys.stderr)
            return exchange

        return connected(channel, self.address, timeout).addCallback(tell)

    def _channel_kept(self) -> IChannel:
        """On the reactor: the way to the server, made when it is first needed."""
        if not self._kept:
            self._kept.append(self._channel())
        return self._kept[0]


def _drop(kept: list[Any]) -> None:
    """A client was dropped: its connections need not stay."""
    if kept:
        from_thread()(kept.pop().close)
