"""The lane: plain requests to known routes, answered at once. Whatever else comes is twisted.web's and Klein's.

One request at a time: find the end of its head, decide from that head alone, take exactly as many bytes as it says,
answer in order. The first head that is not plain hands the connection, with its untouched bytes from that head on, to
twisted.web for good, once the earlier answers are out. So one module decides, and no bytes are parsed twice.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from ...answer import Answer
from ..admission import Admission, Admissions
from ..buffered import Account
from ..connections import Connections, linger
from ..stalled import StallTimer
from .head import Refused, unfinished
from .overdue import sweep
from .pipeline import Pipeline, written
from .plain_heads import PlainHeads
from .refusal import Refusals

__all__ = ["Lane"]

_AHEAD = 1 << 16  # bytes that are read while it is found out who asks


@implementer(IPushProducer, IHalfCloseableProtocol)
class Lane(Protocol):
    """One connection. See the module.

    :param heads: what heads mean.
    :param connections: of the gateway, which times and drains them.
    :param refusals: writes what ends a connection.
    :param to_library: gives a transport, the bytes that came over it, and whether no more will, to twisted.web.
    """

    speaks = "http"

    def __init__(
        self,
        heads: PlainHeads,
        connections: Connections,
        refusals: Refusals,
        to_library: Callable[[object, bytes, bool], None],
    ) -> None:
        self.heads, self.connections, self.refusals = heads, connections, refusals
        self.limits, self.to_library, self.guarded = heads.limits, to_library, connections.guard is not None
        self.buffer = bytearray()
        # Bytes that have come in, or are announced, and are not answered yet; and answers that wait for earlier ones.
        self.account = Account(connections.buffered)
        self.due = Pipeline(self, self.account, connections.clock)
        self.wanted = 0  # how many bytes have to be there before another look at them is worth while
        self.scanned = self.since = 0  # bytes of an unfinished head that are fine; the second in which waiting began
        self.blank = False  # whether an empty line stood before the head that is to come; only one may
        self.stall_timer = StallTimer()
        self.full = self.paused = self.draining = self.ended = self.whole = False  # whole: no more can come in
        self.announced = 0  # of these, the bytes of the body that is coming in
        self._quiet_since, self._advancing = 0, False  # `since`, from before the last head seemed to begin
        self._next_turn: IDelayedCall | None = None
        self.admissions = Admissions(connections.guard, self, self.go_on)

    def connectionMade(self) -> None:
        self.since, self.anybody = self.connections.second, self.connections.anybody(self.transport)
        self.connections.add(self)
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]
        if self.connections.draining:
            self.drain()

    def dataReceived(self, data: bytes) -> None:
        if not self.buffer:
            self._quiet_since = self.since
        if not self.scanned:
            self.since = self.connections.second  # a head begins, or a body comes on
        self.buffer += data
        self.advance()
        if self.due or self.paused or self._next_turn is not None or self.admissions.current is not None:
            self.pause_or_resume()

    def go_on(self) -> None:
        """In a later turn of the loop."""
        self._next_turn = None
        self.advance()
        self.pause_or_resume()

    def advance(self) -> None:
        """Take as many whole requests as there are, while there is room for their answers."""
        if self._advancing or self._next_turn is not None:
            return
        self._advancing = True
        steps = self.limits.max_steps
        due = self.due
        while len(self.buffer) > self.wanted and not self.full and not self.ended and not (due and self.crowded()):
            if not steps:  # others have their turn
                self._next_turn = self.connections.clock.callLater(0, self.go_on)
                break
            steps -= 1
            if not self.take():
                break
        self._advancing = False
        if self.draining and not self.due and not self.ended and not self.to_come():
            self.end()

    def to_come(self) -> bool:
        """Whether another request may still come in."""
        waits = self.full or self._next_turn is not None or self.admissions.asking
        return bool(self.buffer) and (not self.whole or waits)

    def crowded(self) -> bool:
        """Whether the bounds of what is in flight are reached."""
        number = len(self.due)
        return number >= self.limits.max_pipeline or (
            number > 0 and self.account.bytes >= self.limits.max_in_flight_size
        )

    def pause_or_resume(self) -> None:
        """Read on only while there is room: the client writes, we answer, and it reads."""
        crowded = self.crowded() or (bool(self.due) and len(self.buffer) > self.wanted)
        asking = self.admissions.asking and len(self.buffer) > _AHEAD  # a client that leaves is to be seen
        busy = not self.ended and (self.full or crowded or self._next_turn is not None or asking)
        if busy != self.paused and not self.ended:
            self.paused = busy
            if busy:
                self.transport.pauseProducing()  # type: ignore[union-attr]
            else:
                self.transport.resumeProducing()  # type: ignore[union-attr]

    def take(self) -> bool:
        """Take one request off the buffer; return whether there was one."""
        buffer = self.buffer
        if buffer.startswith(b"\r\n") and not self.skip_blank():
            return False
        end = buffer.find(b"\r\n\r\n", max(self.scanned - 3, 0)) + 4
        try:
            if end == 3:
                unfinished(buffer, self.limits, self.scanned)
                self.scanned = self.wanted = len(buffer)
                return False
            plain, authorization = self.heads.read(bytes(buffer[:end]))
        except Refused as refused:
            return self.refuse(refused)
        self.scanned = 0
        if plain is None:
            self.wanted = 0
            if not self.due:  # else: looked at again when the last answer is out
                self.hand_over()
            return False
        guarded = self.guarded and not plain.action.open
        asks = self.admissions.of("http", authorization) if guarded else self.anybody
        if type(asks) is Admission and asks.asking:
            return False
        size = end + plain.length
        if len(buffer) < size:
            if type(asks) is Admission and asks.error is not None:
                return self.refuse(Refused(asks.error))
            if not self.announced:
                if not self.account.total.has_room(plain.length):
                    return self.refuse(Refused(self.account.total.refusal()))
                self.announced = plain.length
                self.account.add(plain.length)
            self.wanted = size - 1
            return False
        with memoryview(buffer) as view:
            body = bytes(view[end:size])
        del buffer[:size]
        self.wanted, self.blank = 0, False
        self.since = self.connections.second
        if self.announced:
            self.account.add(-self.announced)
            self.announced = 0
        self.draining |= self.connections.readiness.stopping
        self.admissions.current = None
        answering = (
            plain.action.run(body, plain, asks) if type(asks) is not Admission else self.refusals.denied(asks, plain)
        )
        if type(answering) is Answer and not self.due:  # as most: there is no order to keep
            self.transport.write(written(answering, plain, self.draining and not buffer))  # type: ignore[union-attr]
        else:
            self.due.add(plain, answering, len(body))
        return True

    def skip_blank(self) -> bool:
        """Skip one empty line before a head (RFC 9112 section 2.2); return whether there is more."""
        if self.blank:
            return True
        del self.buffer[:2]
        self.scanned, self.wanted, self.blank = 0, 0, True
        if not self.buffer:
            self.since = self._quiet_since  # nothing has begun
        return bool(self.buffer)

    def write(self, data: bytes) -> None:
        if not self.ended:
            self.transport.write(data)  # type: ignore[union-attr]

    def ends(self) -> bool:
        return self.draining and not self.to_come()

    def moved(self) -> None:
        """See `Outlet`."""
        if self.ended:
            return
        self.since = self.connections.second
        if not self._advancing:
            self.advance()
            self.pause_or_resume()

    def refuse(self, refused: Refused) -> bool:
        """Answer what must not be taken for a request, once the earlier answers are out, and end."""
        if self.due:
            self.wanted = 0
            return False
        self.transport.write(self.refusals.answer(refused, self.buffer))  # type: ignore[union-attr]
        self.leave()
        linger(self.transport, self.connections, self.whole)
        return False

    def hand_over(self) -> None:
        """Let twisted.web and Klein have the connection, from this head on."""
        rest = bytes(self.buffer)  # before it is cleared
        self.leave()
        self.to_library(self.transport, rest, self.whole)

    def leave(self) -> None:
        """Detach this protocol from its connection."""
        self.forget()
        self.connections.remove(self)
        self.transport.unregisterProducer()  # type: ignore[union-attr]
        if self.paused:
            self.paused = False
            self.transport.resumeProducing()  # type: ignore[union-attr]

    def forget(self) -> None:
        """Release what is counted for this connection."""
        self.ended = True
        self.due.close()
        self.buffer.clear()
        self.account.keep(0)
        self.admissions.cancel()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None

    def end(self) -> None:
        """Close, when all that was written is out; until then the connection counts, and is drained."""
        self.forget()
        self.transport.unregisterProducer()  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]

    def drain(self) -> None:
        """Take no request that has not begun to come in; end when the last one is answered."""
        self.draining = True
        self.advance()

    def readConnectionLost(self) -> None:
        """The client sends no more. What has come in whole is answered, within a grace: it may have gone for good."""
        self.whole = True
        self.connections.half_closed(self, self.limits.half_close_grace)
        self.drain()

    def stopProducing(self) -> None:
        """Part of `IPushProducer`; what there is to do is done in `connectionLost`."""

    writeConnectionLost = stopProducing  # part of `IHalfCloseableProtocol`; we close all at once

    def cut(self) -> None:
        """See `Connection`."""
        self.buffer.clear()
        self.due.cancel()  # which answers them
        if not self.ended:
            self.end()

    def sweep(self, second: int) -> None:
        """Once a second: end what has waited too long for its client."""
        sweep(self, second)

    def pauseProducing(self) -> None:
        """The client does not read: take no more requests, and read no more."""
        self.full = True
        self.pause_or_resume()

    def resumeProducing(self) -> None:
        """The client reads again: resume."""
        self.full = False
        self.due.resume()
        self.since = self.connections.second
        self.advance()
        self.pause_or_resume()

    def connectionLost(self, reason: object = None) -> None:
        """Whatever the client asked for and did not wait for is dropped."""
        self.forget()
        self.connections.remove(self)
        self.due.cancel()
