"""Over gRPC: each exchange a stream of ``/jina.JinaRPC/Call``, on one channel that is kept."""

from __future__ import annotations

from collections import deque
from typing import Any

from grpc import RpcError, StatusCode, aio
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..bridge import Signal, spawn
from ..codec import protobuf
from ..errors import FlowError, PayloadTooLarge, Unavailable
from ..interfaces import IChannel, IExchange
from ..message import Request, Response

__all__ = ["GRPCChannel"]

_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@implementer(IExchange)
class _Exchange:
    """One stream: written by one task and read by another."""

    def __init__(self, call: Any, address: str) -> None:
        self.call, self.address = call, address
        self.requests: dict[str, Deferred[Response]] = {}
        self._outgoing: deque[bytes] = deque()
        self._ended = False
        self._something = Signal()
        for task in (self._write(), self._read()):
            spawn(task).addErrback(lambda failure: self._failed(failure.value))

    def send(self, request: Request) -> Deferred[Response]:
        """See `IExchange`."""
        answer: Deferred[Response] = Deferred()
        self.requests[request.request_id] = answer
        self._outgoing.append(protobuf.encode_request(request))
        self._something.set()
        return answer

    def end(self) -> None:
        """See `IExchange`."""
        self._ended = True
        self._something.set()

    async def _write(self) -> None:
        while True:
            while self._outgoing:
                await self.call.write(self._outgoing.popleft())
            if self._ended:
                await self.call.done_writing()
                return
            self._something.clear()
            await self._something.wait()

    async def _read(self) -> None:
        while (message := await self.call.read()) is not aio.EOF:
            response = protobuf.decode_response(message)
            answer = self.requests.pop(response.request_id, None)
            if answer is not None and not answer.called:
                answer.callback(response)
        code = await self.call.code()
        self._failed(None if code is StatusCode.OK else (code, await self.call.details()))

    def _failed(self, why: Any) -> None:
        """Whatever is not answered will not be."""
        if isinstance(why, RpcError):
            why = (why.code(), why.details())
        code, detail = why if isinstance(why, tuple) else (None, str(why or "the stream ended"))
        kind: type[FlowError] = PayloadTooLarge if code is StatusCode.RESOURCE_EXHAUSTED else Unavailable
        requests, self.requests = self.requests, {}
        for answer in requests.values():
            if not answer.called:
                answer.errback(kind(f"{self.address}: {detail}"))


@implementer(IChannel)
class GRPCChannel:
    """See `IChannel`."""

    def __init__(self, host: str, port: int) -> None:
        self.address = f"{host}:{port}"
        self._channel: Any = None

    def exchange(self) -> Deferred[_Exchange]:
        """See `IChannel`."""
        return spawn(self._exchange())

    async def _exchange(self) -> _Exchange:
        if self._channel is None:
            self._channel = aio.insecure_channel(self.address, _OPTIONS)
        call = self._channel.stream_stream("/jina.JinaRPC/Call")()
        try:
            await call.wait_for_connection()
        except (RpcError, OSError) as wrong:
            details = wrong.details() if isinstance(wrong, aio.AioRpcError) else str(wrong)
            raise Unavailable(f"cannot connect to {self.address}: {details}") from None
        return _Exchange(call, self.address)

    def close(self) -> Deferred[None]:
        """See `IChannel`."""
        channel, self._channel = self._channel, None
        return spawn(_closed(channel))


async def _closed(channel: Any) -> None:
    if channel is not None:
        await channel.close()
