"""The lane of gRPC: one connection of HTTP/2, whose calls are answered on the reactor; those that are others' go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from zope.interface import implementer

from ...security.guard import Caller
from ...telemetry.printable import printable
from ...wire.grpc.statuses import UNIMPLEMENTED, CallFault
from ...wire.http2.codes import CANCEL, HTTP_1_1_REQUIRED, MOST_WINDOW, ConnectionFault, StreamFault
from ...wire.http2.connection import Connection
from ...wire.http2.fields import Fields
from ...wire.http2.interfaces import IHTTP2Owner
from ...wire.http2.settings import OurSettings
from ...wire.http2.stream import NOBODY, Stream
from ..buffered import Account
from ..callers import OtherEnd
from ..connections import Connections, linger
from ..stalled import StallTimer
from .admitting import admitted
from .call import ICall
from .call_head import CallHead, NotGRPC, read_call_head
from .intake import BEHIND
from .methods import Method, Methods
from .talk import Talk

__all__ = ["GRPCLane"]

log = Logger()

_AHEAD = 1 << 16  # bytes that are read though others have their turn
_LEAST_WINDOW = 1 << 24  # bytes that all calls of a connection may have come in, and not taken
_FRAME, _SMALL = 1 << 16, 1 << 12  # bytes of a frame, at most; and of one that is not all there, and does not count


@implementer(IHTTP2Owner, IPushProducer, IHalfCloseableProtocol)
class GRPCLane(TwistedProtocol):
    """One connection.

    :param methods: what is served.
    :param connections: of the gateway, which times and drains them.
    """

    transport, speaks = cast(Any, None), "grpc"
    other_end: OtherEnd | None = None  # where it is to be found out who that is

    def __init__(self, methods: Methods, connections: Connections) -> None:
        limits = methods.limits
        self.methods, self.connections = methods, connections
        self.dispatcher, self.limits, self.later = methods.dispatcher, limits, methods.later
        self.clock: IReactorTime = connections.clock
        self.account = Account(connections.buffered)  # bytes that its calls keep
        ours = OurSettings(
            streams=limits.max_calls,
            fields=limits.max_headers_size,
            frame_size=_FRAME,
            connection_window=min(max(limits.max_in_flight_size, _LEAST_WINDOW), MOST_WINDOW >> 1),
        )
        self._partial = 0  # bytes of a frame that is not all there, where those count
        self.http2 = Connection(self, True, ours)
        self.full = self.draining = self._paused = self._settling = self._ended = self._whole = False
        self._soon: list[Callable[[], object]] = []
        self._stall_timer = StallTimer()
        self.since = datetime.now(UTC)  # when something came last: once for all that came at once
        self._quiet = 0  # seconds since then

    def connectionMade(self) -> None:
        self.anybody = self.connections.anybody(self.transport)
        if self.connections.guard is not None:
            self.other_end = OtherEnd(self.transport, self.connections.guard)
        self.connections.add(self)
        self.transport.registerProducer(self, True)
        self.http2.start()
        if self.connections.draining:
            self.drain()

    def dataReceived(self, data: bytes) -> None:
        self._quiet, self.since = 0, datetime.now(UTC)
        http2 = self.http2
        http2.receive(data)
        if http2.inbound.size > _SMALL or self._partial or http2.inbound.waits:
            self._settle()

    def _settle(self) -> None:
        """Count what has come and is not taken; and read on only while that is little."""
        inbound = self.http2.inbound
        if self._ended:
            return
        self.account.add(inbound.size - self._partial)
        self._partial = inbound.size
        pause = inbound.waits and inbound.size > _AHEAD
        if pause is not self._paused:
            self._paused = pause
            (self.transport.pauseProducing if pause else self.transport.resumeProducing)()
        if inbound.waits and not self._settling:
            self._settling = True
            self.later(self._settle_again)

    def _settle_again(self) -> None:
        self._settling = False
        self._settle()
        if self._whole and not self._ended:
            self._lose_unfinished()

    # -- for its `Connection`

    def write(self, data: bytes) -> None:
        """See `IHTTP2Owner`."""
        if not self._ended:
            self.transport.write(data)

    def opened(self, stream: Stream, fields: Fields) -> Any:
        """See `IHTTP2Owner`."""
        try:
            call = admitted(self, stream, fields) if self.other_end else self.begin(stream, fields, self.anybody)
        except NotGRPC:
            raise StreamFault(stream.id, HTTP_1_1_REQUIRED, "no call of gRPC") from None
        if (
            self.draining and call is not NOBODY
        ):  # who has opened it could not know: its request may be just behind its head
            self.clock.callLater(BEHIND, call.drain)
        return call

    def described(self, fields: Fields) -> tuple[Method | None, CallHead]:
        """What *fields* ask for; None: there is no such method.

        :raises NotGRPC: if it is no call at all.
        """
        found = cast("tuple[Method | None, CallHead] | None", fields.meaning)
        if found is None:
            head = read_call_head(fields)
            method = self.methods.by_path.get(head.method)
            if method is None and self.methods.others is not None:
                method = self.methods.others(self, fields)
            fields.meaning = found = method, head
        return found

    def begin(self, stream: Stream, fields: Fields, caller: Caller | None) -> Any:
        """What answers the call of *caller* that *fields* open: an `ICall`, or `NOBODY`."""
        method, head = self.described(fields)
        if method is None or head.fault is not None:
            fault = head.fault or CallFault(UNIMPLEMENTED, "Method not found!")
            Talk(stream, self.methods.entry).fail(fault)
            return NOBODY
        return method(self, stream, head, caller)

    def soon(self, function: Callable[[], object]) -> None:
        """Have *function* called when this turn is over."""
        if not self._soon:
            self.later(self._now)
        self._soon.append(function)

    def _now(self) -> None:
        soon, self._soon = self._soon, []
        for each in soon:
            each()

    def going_away(self, last: int, code: int) -> None:
        """See `IHTTP2Owner`: the client opens no more calls; those that are under way go on."""
        self.closed()

    def closed(self) -> None:
        """See `IHTTP2Owner`."""
        http2 = self.http2
        if (self.draining or self._whole or http2.going) and self._idle():
            self.later(self._end_if_idle)  # what ends it is being written just now

    def _idle(self) -> bool:
        """Whether all that has come is answered, and nothing is to come."""
        http2 = self.http2
        return not http2.streams and not http2.inbound.waits and (self._whole or not self.draining or http2.empty)

    def _end_if_idle(self) -> None:
        if self._idle():
            self._end()

    @property
    def _calls(self) -> list[ICall]:
        """Those under way."""
        listeners = [stream.listener for stream in self.http2.streams.values()]
        return [each for each in listeners if each is not NOBODY]

    def failed(self, fault: ConnectionFault) -> None:
        """See `IHTTP2Owner`. The client is to see why, though more of it is unread."""
        log.info("a gRPC connection was ended: {detail}", detail=printable(fault.detail))
        if not self._ended:
            self._leave()
            linger(self.transport, self.connections, self._whole)

    def hurry(self) -> None:
        """See `IHTTP2Owner`."""
        getattr(self.transport, "flush", int)()

    def flush(self) -> None:
        """Send now what waits to be sent."""
        self.http2.flush()
        self.hurry()

    # -- for its transport, and `Connections`

    def pauseProducing(self) -> None:
        """The client does not read."""
        self.full = True

    def resumeProducing(self) -> None:
        """The client reads again."""
        self.full = False
        self.http2.flush()

    def readConnectionLost(self) -> None:
        """The client sends no more. What it has asked is answered, within a grace: it may have gone for good."""
        self._whole = True
        self.connections.half_closed(self, self.limits.half_close_grace)
        self._lose_unfinished()

    def _lose_unfinished(self) -> None:
        """When all that has come is taken: what no more can come of is lost."""
        if not self.http2.inbound.waits:
            for stream in list(self.http2.streams.values()):
                if stream.open_in:
                    self._lose(stream)
            self.closed()

    def stopProducing(self) -> None:
        """Part of `IPushProducer`; what there is to do is done in `connectionLost`."""

    writeConnectionLost = stopProducing  # part of `IHalfCloseableProtocol`; we close all at once

    def connectionLost(self, reason: object = None) -> None:
        self._ended = True
        self.http2.lose()
        self.account.keep(0)
        self.connections.remove(self)

    def drain(self) -> None:
        """See `Connection`."""
        self.draining = True
        self.http2.drain()
        for call in self._calls:
            call.drain()
        self.closed()

    def cut(self) -> None:
        """See `Connection`."""
        for call in self._calls:
            call.cut()
        self.http2.flush()
        self._end()

    def sweep(self, second: int) -> None:
        """See `Connections`: once a second, end what has waited too long for its client."""
        limits = self.limits
        self.methods.look(second)
        self.http2.tick()
        self._quiet += 1
        if self._ended:  # what was written is on its way
            if self._stall_timer.seconds(self.transport, second, True) > limits.write_timeout:
                self.transport.abortConnection()
            return
        for call in self._calls if self.account.bytes else ():
            call.sweep()
        gone = self._quiet > limits.ping_interval + limits.ping_timeout
        inbound = self.http2.inbound
        late = inbound.unfinished and self._quiet > (limits.body_timeout if inbound.greeted else limits.header_timeout)
        if gone or late or self._stall_timer.seconds(self.transport, second, self.full) > limits.write_timeout:
            self.transport.abortConnection()
        elif limits.ping_interval < self._quiet <= limits.ping_interval + 1:
            self.http2.ping()
        for stream in self.http2.stalled(limits.write_timeout):
            self._lose(stream)

    def _lose(self, stream: Stream) -> None:
        """End a call of which nobody takes the answer, or sends the rest."""
        listener = stream.listener
        stream.reset(CANCEL)
        listener.lost(CANCEL)

    def _end(self) -> None:
        """Close, when all that was written is out."""
        if not self._ended:
            self.http2.flush()
            self._ended = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def _leave(self) -> None:
        """Detach this protocol from its connection."""
        self._ended = True
        self.account.keep(0)
        self.connections.remove(self)
        self.transport.unregisterProducer()
        if self._paused:
            self.transport.resumeProducing()
