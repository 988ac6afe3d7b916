"""``/twisted_flow.Flow/Post`` and ``Stream`` on the lane: one request, and its answer, whole or in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, final

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from ...answer import Answer, Answered, AnswerStream, Entry, answer
from ...codec.codecs import codec_of
from ...errors import BadRequest, DeadlineExceeded, FlowError, QueueFull, Unavailable
from ...wire.grpc.messages import whole_message
from ...wire.grpc.statuses import CallFault
from ...wire.http2.fields import Fields
from ...wire.http2.stream import Stream
from ..sending import Sending
from .call import ICall
from .call_head import CallHead
from .intake import BEHIND, Intake, late
from .talk import Talk

if TYPE_CHECKING:
    from .lane import GRPCLane

__all__ = ["AskedCall"]

_codec = codec_of(binary=True).codec


@final
@implementer(ICall)
class AskedCall:
    """One call. Its request is its first message: what comes behind that is not looked at."""

    __slots__ = (
        "_alarm", "_asked", "_encoding", "_entry", "_intake", "_lane", "_sending", "_size", "_stream", "_talk",
        "_waiting",
    )  # fmt: skip

    def __init__(self, lane: GRPCLane, stream: Stream, head: CallHead, entry: Entry) -> None:
        self._lane, self._stream, self._talk, self._entry = lane, stream, Talk(stream, entry), entry
        self._encoding = head.encoding
        self._intake: Intake | None = None  # made where the request does not come as one piece
        self._asked = False
        self._size = 0  # bytes of the request, while it is counted
        self._waiting: Deferred[Any] | None = None
        self._sending: Sending | None = None
        self._alarm: IDelayedCall | None = None
        if entry.timeout is not None:
            lane.soon(self._watch)

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        if self._asked or self._talk.over:
            self._stream.credit(end - at)
            return
        lane = self._lane
        if self._intake is None:
            message = whole_message(data, at, end, lane.limits.max_body)
            if message is not None:
                self._stream.credit(end - at)
                self._ask(message)
                return
            self._intake = Intake(self._stream, self._encoding, lane.limits, lane.account)
        self._intake.came(data, at, end)
        try:
            message = self._intake.next()
            if message is None:
                self._intake.settle()
                return
        except CallFault as fault:
            self._talk.fail(fault)
            self._close()
        except FlowError as error:
            self._refuse(error)
        else:
            self._intake.close()
            self._ask(message)

    def ended(self) -> None:
        """See `IStreamListener`."""
        if self._asked or self._talk.over:
            return
        try:
            if self._intake is not None:
                self._intake.check_end()
        except CallFault as fault:
            self._talk.fail(fault)
            self._close()
        else:
            self._refuse(BadRequest("the call has no message; one is required"))

    def _refuse(self, error: FlowError) -> None:
        self._talk.refuse(error)
        self._close()

    def _watch(self) -> None:
        """The turn is over in which it began: if its message has not come, its deadline may be over before."""
        timeout = self._entry.timeout
        if not self._asked and not self._talk.over and timeout is not None:
            self._alarm = self._lane.clock.callLater(timeout, self._expire)

    def _expire(self) -> None:
        self._alarm = None
        self._refuse(DeadlineExceeded("the deadline was over before the request had come"))

    def _ask(self, message: bytes) -> None:
        self._asked = True
        entry, account = self._entry, self._lane.account
        if self._alarm is not None:
            remaining = self._alarm.getTime() - self._lane.clock.seconds()
            self._alarm.cancel()
            self._alarm = None
            entry = replace(entry, timeout=max(remaining, 1e-6))
        if not account.total.has_room(len(message)):
            self._refuse(account.total.refusal())
            return
        http2 = self._lane.http2
        http2.inbound.steps -= len(message) >> 16  # which may have been decompressed
        if http2.unsent > self._lane.limits.max_in_flight_size:
            self._refuse(QueueFull(f"{http2.unsent} bytes of answers wait for this client to take them", retry_after=1))
            return
        answered = answer(message, _codec, self._lane.dispatcher, entry, self._lane.since)
        if type(answered) is Answer:
            self._talk.answer(answered)
        elif type(answered) is AnswerStream:
            self._send_parts(answered)
        else:
            self._size = len(message)
            account.add(self._size)
            self._waiting = cast("Deferred[Any]", answered)
            self._waiting.addCallback(self._answered)

    def _answered(self, answered: Answered) -> None:
        self._waiting = None
        if type(answered) is AnswerStream:
            self._send_parts(answered)
        else:
            self._talk.answer(answered)
            self._close()

    def _send_parts(self, stream: AnswerStream) -> None:
        lane, http2_stream = self._lane, self._stream
        self._sending = Sending(stream, self._send, lambda: http2_stream.full, self._sent, lane.later, lane.flush)
        self._sending.go_on()

    def _send(self, piece: Answer) -> None:
        if piece.error is not None:
            self._talk.answer(piece)
        else:
            self._talk.send(piece.body)

    def _sent(self) -> None:
        if not self._talk.over:
            self._talk.finish()
        self._sending = None
        self._close()

    def roomy(self) -> None:
        """See `IStreamListener`."""
        if self._sending is not None:
            self._sending.go_on()

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""
        self._talk.over = True
        self.cut()
        self._close()

    def cut(self) -> None:
        """Answer at once: see `Gateway.ended`."""
        if self._waiting is not None:
            self._waiting.cancel()
        elif self._sending is not None:
            self._sending.cancel()
        elif not self._asked and not self._talk.over:
            self._refuse(self._entry.ended())

    def sweep(self) -> None:
        """See `ICall`."""
        timeout = self._lane.limits.body_timeout
        if self._intake is not None and self._intake.quiet() > timeout:
            self._refuse(late(timeout))

    def drain(self) -> None:
        """It is answered all the same; its request may be just behind its head, but is not waited for beyond that."""
        if not self._asked:
            self._lane.clock.callLater(BEHIND, self._stop_waiting)

    def _stop_waiting(self) -> None:
        if not self._asked and not self._talk.over:
            self._refuse(Unavailable("the server is stopping"))

    def _close(self) -> None:
        if self._intake is not None:
            self._intake.close()
        self._lane.account.add(-self._size)
        self._size = 0
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
