"""A call on the lane that grpcio's server behind it answers: passed on message by message, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from grpc import RpcError
from grpc.aio import EOF, AioRpcError
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...answer import Entry
from ...errors import FlowError
from ...loop import Signal, spawn
from ...wire.grpc.metadata import PEER, RESERVED
from ...wire.grpc.statuses import INTERNAL, OK, UNAVAILABLE, CallFault
from ...wire.http2.fields import Fields, block
from ...wire.http2.stream import Stream
from .behind import Behind
from .call import ICall
from .call_head import CallHead
from .intake import Intake
from .talk import BEGIN, Talk, encoded

if TYPE_CHECKING:
    from .lane import GRPCLane

__all__ = ["RelayedCall"]


@final
@implementer(ICall)
class RelayedCall:
    """One call: one task passes on what comes, another one what is answered; each waits for the other side's room."""

    def __init__(self, lane: GRPCLane, stream: Stream, head: CallHead, entry: Entry, behind: Behind) -> None:
        self._stream, self._talk = stream, Talk(stream, entry)
        self._intake = Intake(stream, head.encoding, lane.limits, lane.account)
        self._came, self._room = Signal(), Signal()
        self._room.set()
        passed = tuple(pair for pair in head.metadata if not pair[0].startswith(RESERVED))
        metadata = (*passed, (PEER, _peer(lane.transport)))
        self._tasks: list[Deferred[None]] = []
        self._call: Any = None
        try:
            self._call = behind.call(head.method, metadata, head.timeout)
        except Exception as error:  # metadata that grpcio does not take
            self._end(CallFault(INTERNAL, f"the call cannot be passed on: {error}"))
            return
        self._tasks = [spawn(self._write()), spawn(self._read())]
        for task in self._tasks:
            task.addErrback(lambda failure: None if failure.check(CallFault, RpcError) else failure)
            task.addErrback(lambda failure: self._end(CallFault(INTERNAL, "the call cannot be passed on")))

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        self._intake.came(data, at, end)
        try:
            self._intake.settle()
        except FlowError as error:
            self._talk.refuse(error)
            self._close()
        self._came.set()

    def ended(self) -> None:
        """See `IStreamListener`."""
        self._came.set()

    async def _write(self) -> None:
        intake, call = self._intake, self._call
        while True:
            self._came.clear()
            try:
                while (message := intake.next()) is not None:
                    await call.write(message)
                    intake.settle()
                if not self._stream.open_in:
                    intake.check_end()
                    break
            except CallFault as fault:
                self._end(fault)
                return
            await self._came.wait()
        await call.done_writing()

    async def _read(self) -> None:
        call, talk, stream = self._call, self._talk, self._stream
        try:
            metadata = tuple(await call.initial_metadata())
            talk.begin(BEGIN + block(encoded(metadata)))
            while (message := await call.read()) is not EOF:
                talk.send(message)
                if stream.full:
                    self._room.clear()
                    await self._room.wait()
        except AioRpcError:
            pass  # which is the status that follows
        code, detail = await call.code(), await call.details()
        trailers = encoded(await call.trailing_metadata() or ())
        self._end(CallFault(code.value[0], detail or "", trailers))

    def _end(self, fault: CallFault) -> None:
        """End, with any status, OK among them."""
        if not self._talk.over:
            if fault.code == OK:
                self._talk.begin()
            self._talk.fail(fault)
        self._close()

    def roomy(self) -> None:
        """See `IStreamListener`."""
        self._room.set()

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""
        self._talk.over = True
        self._close()

    def drain(self) -> None:
        """It is answered all the same."""

    def cut(self) -> None:
        """End."""
        self._end(CallFault(UNAVAILABLE, "the server stopped before the call was answered"))

    def _close(self) -> None:
        self._intake.close()
        if self._call is not None:
            self._call.cancel()
        self._came.set()
        self._room.set()


def _peer(transport: Any) -> str:
    """Who has called, as grpcio's ``context.peer()`` has it."""
    address = transport.getPeer()
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        return "unix:"
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
