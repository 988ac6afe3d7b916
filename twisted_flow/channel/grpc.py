"""Over gRPC: each exchange a stream of ``/jina.JinaRPC/Call``, on one channel that is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from grpc import RpcError, StatusCode, aio
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from ..codec import protobuf
from ..errors import FlowError, PayloadTooLarge, Unavailable
from ..interfaces import IExchange, IStreamingChannel
from ..listen.hostport import joined
from ..loop import Signal, crossing, sleep_a_turn, spawn
from ..message import Request, Response, ResponseStream, bare_request
from ..wire.grpc.metadata import OURS, SERVER
from .incoming import Incoming
from .outgoing import Outgoing

__all__ = ["GRPCChannel"]

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # the environment's is for the web
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel fails at once where an older one has just failed
]


@implementer(IExchange)
class _Exchange:
    """One stream: written by one task and read by another, on the loop; asked on the reactor, which may be another."""

    def __init__(self, call: Any, address: str) -> None:
        self.call, self.address = call, address
        self.over, self.max_body = False, None
        """See `IExchange`."""
        self._ours = False
        self._why: FlowError | None = None  # nothing can be sent any more
        self._to_loop, self._to_reactor = crossing()
        self.requests: dict[str, Deferred[Response]] = {}
        self._outgoing: deque[tuple[str, bytes]] = deque()  # with the id of its request
        self._ended = False
        self._something = Signal()
        for task in (self._write(), self._read()):
            spawn(task).addErrback(lambda failure: self._to_reactor(self._failed, failure.value))

    def send(self, request: Request) -> Deferred[Response]:
        """See `IExchange`."""
        if self._why is not None:
            return fail(Unavailable(str(self._why)))
        message = protobuf.encode_request(request)
        if self.max_body is not None and len(message) > self.max_body:
            return fail(PayloadTooLarge.of(len(message), self.max_body))
        answer: Deferred[Response] = Deferred(lambda _: self.cancel(request.request_id))
        self.requests[request.request_id] = answer
        self._put(request.request_id, message)
        return answer

    def _put(self, request_id: str, message: bytes) -> None:
        self._outgoing.append((request_id, message))
        self._to_loop(self._something.set)

    def cancel(self, request_id: str) -> None:
        """Drop a request: our servers are told, and any answer is ignored."""
        if self.requests.pop(request_id, None) is None or self.over:
            return
        for each in list(self._outgoing):
            if each[0] == request_id:  # it has not been sent, and need not be
                self._outgoing.remove(each)
                return
        if self._ours:
            self._put("", protobuf.encode_request(bare_request(request_id, cancels=True)))

    def end(self) -> None:
        """See `IExchange`."""
        self._ended = True
        self._to_loop(self._something.set)

    async def _write(self) -> None:
        while True:
            while self._outgoing:
                await self.call.write(self._outgoing.popleft()[1])
            if self.over:
                return
            if self._ended:
                await self.call.done_writing()
                return
            self._something.clear()
            await self._something.wait()

    async def _read(self) -> None:
        while (message := await self.call.read()) is not aio.EOF:
            if not self._ours:
                self._ours = (SERVER, OURS) in tuple(await self.call.initial_metadata())
            self._to_reactor(self._answered, protobuf.decode_response(message))
        self._to_reactor(self._failed, await _end_of(self.call))

    def _answered(self, response: Response) -> None:
        answer = self.requests.pop(response.request_id, None)
        if answer is not None and not answer.called:
            answer.callback(response)

    def _failed(self, why: object) -> None:
        """Fail all requests that are not answered yet."""
        self.over, self._why = True, self._why or _lost(self.address, why)
        self._to_loop(self._something.set)  # who writes need not wait
        requests, self.requests = self.requests, {}
        for answer in requests.values():
            if not answer.called:
                answer.errback(_lost(self.address, why))


@implementer(IStreamingChannel)
class GRPCChannel:
    """See `IChannel`."""

    most: int | None = None

    def __init__(self, host: str, port: int) -> None:
        self.address = joined(host, port)
        self._channel: Any = None

    def exchange(self) -> Deferred[_Exchange]:
        """See `IChannel`."""
        return spawn(self._exchange())

    def stream(self, request: Request) -> Deferred[ResponseStream]:
        """See `IStreamingChannel`."""
        outgoing = Outgoing(request)
        connecting: Deferred[Any] = spawn(self._call())
        return connecting.addCallback(self._stream, request, outgoing)

    def _stream(self, call: Any, request: Request, outgoing: Outgoing) -> ResponseStream:
        to_loop, to_reactor = crossing()
        reads = Signal()
        reads.set()

        def end() -> None:
            outgoing.stop()
            writing.cancel()
            to_loop(call.cancel)

        incoming = Incoming(request, lambda paused: to_loop(reads.clear if paused else reads.set), end)
        mail = _Mail()
        writing = spawn(mail.carry(call, lambda cost: to_reactor(outgoing.more, cost)))
        writing.addErrback(lambda _: None)  # whoever reads is told
        outgoing.start(partial(to_loop, mail.put), incoming.over)
        reading = spawn(_read_parts(call, reads, lambda response: to_reactor(incoming.answered, response)))
        reading.addCallbacks(  # unless it has ended well
            lambda _: to_reactor(incoming.over, _lost(self.address, None)),
            lambda failure: to_reactor(incoming.over, _lost(self.address, failure.value)),
        )
        return incoming.stream

    async def _exchange(self) -> _Exchange:
        return _Exchange(await self._call(), self.address)

    async def _call(self) -> Any:
        """A new call."""
        if self._channel is None:
            self._channel = aio.insecure_channel(self.address, _OPTIONS)
        call = self._channel.stream_stream("/jina.JinaRPC/Call")()
        try:
            await call.wait_for_connection()
        except BaseException as error:
            call.cancel()
            if not isinstance(error, RpcError | OSError):
                raise
            details = error.details() if isinstance(error, aio.AioRpcError) else str(error)
            raise Unavailable(f"cannot connect to {self.address}: {details}") from None
        return call

    def close(self) -> Deferred[None]:
        """See `IChannel`."""
        channel, self._channel = self._channel, None
        return spawn(_closed(channel))


class _Mail:
    """Messages of one call, on the loop: from whoever puts them there to the call."""

    def __init__(self) -> None:
        self._messages: deque[tuple[bytes, int, bool]] = deque()
        self._something = Signal()

    def put(self, message: bytes, cost: int, last: bool) -> None:
        """Send *message*; of it *cost* is told when it has been taken."""
        self._messages.append((message, cost, last))
        self._something.set()

    async def carry(self, call: Any, taken: Callable[[int], object]) -> None:
        """Write what is put here, up to the last."""
        last = False
        while not last:
            self._something.clear()
            while self._messages and not last:
                message, cost, last = self._messages.popleft()
                await call.write(message)
                if cost:
                    taken(cost)
            if not last:
                await self._something.wait()
        await call.done_writing()


async def _read_parts(call: Any, reads: Signal, take: Callable[[Response], object]) -> None:
    while (part := await call.read()) is not aio.EOF:
        take(protobuf.decode_response(part))
        await sleep_a_turn()  # in which it may have been paused
        await reads.wait()
    if (why := await _end_of(call)) is not None:
        raise why


async def _end_of(call: Any) -> RpcError | None:
    """How *call* ended; None: well."""
    code = await call.code()
    return None if code is StatusCode.OK else aio.AioRpcError(code, (), (), await call.details())


def _lost(address: str, why: object) -> FlowError:
    """The error for what is not answered yet when a call has ended, because of *why*; None: it just did."""
    kind: type[FlowError] = Unavailable
    detail = str(why or "the stream ended")
    if isinstance(why, RpcError):
        detail = why.details()
        if why.code() is StatusCode.RESOURCE_EXHAUSTED:
            kind = PayloadTooLarge
    return kind(f"{address}: {detail or 'the connection was closed'}")


async def _closed(channel: Any) -> None:
    if channel is not None:
        await channel.close()
