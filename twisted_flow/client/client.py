"""`Client`: calls a flow that is elsewhere."""

from __future__ import annotations

import queue
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny

from ..bridge import Mailbox, from_thread, run_in_reactor
from ..errors import ConfigurationError, FlowError, error_named
from ..interfaces import IChannel, IExchange
from ..message import Header, Request, Response, StatusCode
from ..suggestion import nearest
from .inputs import Asking, requests_of, requests_of_async
from .progress import Progress
from .verbs import verb

__all__ = ["Client"]

CHANNELS = {
    "grpc": "twisted_flow.channel.grpc.GRPCChannel",
    "http": "twisted_flow.channel.http.HTTPChannel",
    "websocket": "twisted_flow.channel.websocket.WebSocketChannel",
}
_SCHEMES = {"grpc": "grpc", "http": "http", "ws": "websocket"}
_WINDOW = 64  # requests in flight

Callback = Callable[[Any], Any]


class Client:
    """Calls a flow: ``Client(port=12345).post('/search', Document(text='hello'), return_results=True)``.

    :param protocol: 'grpc', 'http' or 'websocket'.
    :param host: of the server; 'host:port' names the port too, 'http://host:port' the protocol as well.
    :param port: of the server.
    :param port_expose: the same as *port*, by its older name.
    :param asyncio: whether `post` is an asynchronous iterator (``async for response in client.post(...)``).
    :param window: requests in flight.
    :raises ConfigurationError: where that names no server.
    """

    def __init__(
        self,
        *,
        protocol: str = "grpc",
        host: str = "localhost",
        port: int | None = None,
        port_expose: int | None = None,
        asyncio: bool = False,
        window: int = _WINDOW,
    ) -> None:
        if "://" in host:
            parts = urlsplit(host)
            if parts.scheme not in _SCHEMES:
                raise ConfigurationError(f"host={host!r}: the schemes are {', '.join(_SCHEMES)}")
            protocol, host, port = _SCHEMES[parts.scheme], parts.hostname or "localhost", parts.port or port
        elif host.count(":") == 1 and host.rpartition(":")[2].isdecimal():
            host, _, named = host.partition(":")
            port = int(named)
        if protocol not in CHANNELS:
            near = nearest(protocol, CHANNELS)
            raise ConfigurationError(f"protocol={protocol!r}: the protocols are {', '.join(CHANNELS)}{near}")
        number = port if port is not None else port_expose
        if type(number) is not int or not 0 < number <= 65535:
            raise ConfigurationError(f"port={number!r}: the server's port is needed, a number from 1 to 65535")
        self.protocol, self.host, self.port = protocol, host, number
        self.asyncio, self.window = asyncio, window
        self._channel: IChannel | None = None

    def post(
        self,
        on: str,
        inputs: Any = None,
        on_done: Callback | None = None,
        on_error: Callback | None = None,
        on_always: Callback | None = None,
        *,
        parameters: dict[str, Any] | None = None,
        target_peapod: str = "",
        request_size: int = 100,
        show_progress: bool = False,
        continue_on_error: bool = False,
        return_results: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Send *inputs* to the endpoint *on*, and wait for all answers.

        :param inputs: None, a Document, dict, str, bytes, ndarray, or a tuple of a document and what it should become;
            any iterable of such, or a function that returns one; for an asyncio client asynchronous ones too.
        :param on_done: called with each response that is a success.
        :param on_error: called with each response that is not, in place of raising its error; where no response came,
            with the error.
        :param on_always: called with each response.
        :param parameters: for the executors.
        :param target_peapod: a regular expression for the executors that are meant.
        :param request_size: documents in a request.
        :param show_progress: whether a line on standard error tells how far it has come.
        :param continue_on_error: whether the rest is sent though something failed.
        :param return_results: whether the responses are returned, in the order of their coming.
        :param timeout: seconds for each request.
        :return: None, or a list of `Response`; of an asyncio client an asynchronous iterator of `Response`.
        :raises FlowError: as the server says, and `Unavailable` where there is none.
        """
        if not isinstance(parameters, dict | None):
            raise TypeError(f"parameters={parameters!r}: they are a dict")
        if request_size < 1:
            raise ValueError(f"request_size={request_size}: at least one document is in a request")
        for name, callback in (("on_done", on_done), ("on_error", on_error), ("on_always", on_always)):
            if iscoroutinefunction(callback):
                raise TypeError(f"{name} is an async def, which nobody would await: callbacks are plain functions")
        asking = Asking(Header(on, target_peapod), parameters or {}, request_size, timeout)
        told = _Told(on_done, on_error, on_always, continue_on_error, Progress() if show_progress else None)
        if self.asyncio:
            return self._post_async(inputs, asking, told)
        responses = self._post(requests_of(inputs, asking), told)
        if return_results:
            return list(responses)
        for _ in responses:
            pass
        return None

    index = verb("/index")
    search = verb("/search")
    update = verb("/update")
    delete = verb("/delete")

    def close(self) -> None:
        """End the connections that are kept."""
        channel, self._channel = self._channel, None
        if channel is not None:
            run_in_reactor(channel.close)

    def _connected(self) -> Deferred[IExchange]:
        """On the reactor: a new exchange."""
        first = self._channel is None
        if self._channel is None:
            self._channel = namedAny(CHANNELS[self.protocol])(self.host, self.port)

        def tell(exchange: IExchange) -> IExchange:
            if first:
                print(f"connected to the gateway at {self.host}:{self.port}!", file=sys.stderr)
            return exchange

        return self._channel.exchange().addCallback(tell)

    def _post(self, requests: Iterator[Request], told: _Told) -> Iterator[Response]:
        """Requests and callbacks in the caller's thread; the wire on the reactor's."""
        exchange: IExchange = run_in_reactor(self._connected)
        call = from_thread()
        outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        in_flight = 0
        try:
            for request in requests:
                call(_send, exchange, request, outcomes.put)
                in_flight += 1
                while in_flight and (in_flight >= self.window or not outcomes.empty()):
                    in_flight -= 1
                    yield from told.take(outcomes.get())
        finally:
            call(exchange.end)
        while in_flight:
            in_flight -= 1
            yield from told.take(outcomes.get())
        told.end()

    async def _post_async(self, inputs: Any, asking: Asking, told: _Told) -> AsyncIterator[Response]:
        """The same on the caller's event loop."""
        outcomes: Mailbox[Any] = Mailbox()
        call = outcomes.start()
        call(lambda: self._connected().addBoth(outcomes.put))
        exchange = await outcomes.get()
        if isinstance(exchange, Failure):
            raise exchange.value  # type: ignore[misc]
        in_flight = 0
        try:
            async for request in requests_of_async(inputs, asking):
                call(_send, exchange, request, outcomes.put)
                in_flight += 1
                while in_flight and (in_flight >= self.window or not outcomes.empty()):
                    in_flight -= 1
                    for response in told.take(await outcomes.get()):
                        yield response
        finally:
            call(exchange.end)
        while in_flight:
            in_flight -= 1
            for response in told.take(await outcomes.get()):
                yield response
        told.end()


def _send(exchange: IExchange, request: Request, put: Callable[[Any], None]) -> None:
    """On the reactor: send *request*, and pass on what becomes of it."""
    try:
        exchange.send(request).addBoth(put)
    except Exception:  # what cannot be encoded
        put(Failure())


class _Told:
    """What the caller wants to be told, and how failures are taken."""

    def __init__(
        self,
        on_done: Callback | None,
        on_error: Callback | None,
        on_always: Callback | None,
        go_on: bool,
        progress: Progress | None,
    ) -> None:
        self.on_done, self.on_error, self.on_always, self.go_on = on_done, on_error, on_always, go_on
        self.progress = progress

    def end(self) -> None:
        """All is answered."""
        if self.progress is not None:
            self.progress.end()

    def take(self, outcome: Response | Failure) -> Iterator[Response]:
        """Call back for *outcome*; it, if it is a response.

        :raises FlowError: if it is a failure that nobody takes.
        """
        error: Any = None
        if isinstance(outcome, Failure):
            error = outcome.value
            outcome = getattr(error, "response", None) or outcome
        if self.progress is not None:
            self.progress.answered(0 if isinstance(outcome, Failure) else len(outcome.docs))
        if isinstance(outcome, Failure):
            if self.on_error is not None and isinstance(error, FlowError):
                self.on_error(error)
            elif not (self.go_on and isinstance(error, FlowError)):
                raise error
            return
        failed = outcome.status.code >= StatusCode.ERROR
        if failed and self.on_error is not None:
            self.on_error(outcome)
        elif failed and not self.go_on:
            raise error or _error(outcome)
        elif not failed and self.on_done is not None:
            self.on_done(outcome)
        if self.on_always is not None:
            self.on_always(outcome)
        yield outcome


def _error(response: Response) -> FlowError:
    status = response.status
    told = status.exception
    if told is None:
        return error_named("", status.description or "the request failed")
    detail = status.description.removeprefix(f"{told.name}: ")
    return error_named(told.name, detail, stacks=tuple(told.stacks), executor=told.executor)
