"""``/jina.JinaRPC/Call`` on the lane: a stream of requests, a stream of answers as they are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from ...answer import Entry
from ...errors import FlowError
from ...wire.grpc.messages import LARGE, framed, message_head
from ...wire.grpc.statuses import DEADLINE_EXCEEDED, CallFault, status_number
from ...wire.http2.fields import Fields
from ...wire.http2.inbound import EARLY
from ...wire.http2.stream import Stream
from ..session.session import Session
from .call import ICall
from .call_head import CallHead
from .intake import Intake, late
from .talk import BEGIN_OURS, Talk

if TYPE_CHECKING:
    from .lane import GRPCLane

__all__ = ["SessionCall"]


@final
@implementer(ICall)
class SessionCall:
    """One call."""

    def __init__(self, lane: GRPCLane, stream: Stream, head: CallHead, entry: Entry) -> None:
        self._lane, self._stream = lane, stream
        self._talk = Talk(stream, entry)
        self._talk.begin(BEGIN_OURS)
        self._intake = Intake(stream, head.encoding, lane.limits, lane.account)
        self.session = Session(
            lane.dispatcher, entry, "bytes", self._send, self._changed, lane.limits, lane.account.total, lane.later,
            lane.flush,
        )  # fmt: skip
        self._taking = self._waits = False
        self._input_over = False  # whether all that has come is taken, and no more will come
        self._release = entry.hold(self.revoke)
        self._alarm: IDelayedCall | None = None
        if head.timeout is not None:
            self._alarm = lane.clock.callLater(head.timeout, self._expire)

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        self._intake.came(data, at, end)
        if not self._waits:
            self._take()

    def ended(self) -> None:
        """See `IStreamListener`."""
        if not self._waits:
            self._take()

    def roomy(self) -> None:
        """See `IStreamListener`."""
        self.session.unread = 0
        self.session.resume()
        self._take()

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""
        self._talk.over = True
        self._close()
        self.session.lost()

    def _take(self) -> None:
        """Take the messages that are there, while there is room for their answers."""
        if self._taking or self._talk.over:
            return
        self._taking = True
        try:
            whole = self._take_messages()
            self._intake.settle()
            if whole and not self._stream.open_in:
                self._intake.check_end()
        except CallFault as fault:
            self._end(fault)
            return
        except FlowError as error:
            self._talk.refuse(error)
            self._end(None)
            return
        finally:
            self._taking = False
        if whole and not self._stream.open_in and not self._input_over:
            self._input_over = True
            self.session.end_of_input()
        self._finish_if_idle()

    def _take_messages(self) -> bool:
        """Take messages; return whether there are no more."""
        session, intake, inbound = self.session, self._intake, self._lane.http2.inbound
        under_way, most = session.under_way, self._lane.limits.max_body
        since = self._lane.since
        while True:
            if under_way.in_flight + session.unread >= session.room.most or not session.calm:
                ahead = session.ahead
                if not ahead or (ahead < most and intake.next_size() > ahead):
                    return False
            if inbound.steps <= 0:  # others have their turn
                self._waits = True
                inbound.wait(self._go_on)
                return False
            message = intake.next()
            if message is None:
                return True
            inbound.steps -= 1 + (len(message) >> 16)  # which may have been decompressed
            if inbound.steps == EARLY:
                self._lane.http2.flush_early()
            session.received(message, True, since)

    def _go_on(self) -> None:
        """In another turn."""
        self._waits = False
        self._take()

    def _send(self, payload: bytes, binary: bool) -> None:
        """An answer is ready."""
        stream = self._stream
        if len(payload) < LARGE:
            stream.send(framed(payload))
        else:  # which is not copied to stand behind its head
            stream.send(message_head(len(payload)))
            stream.send(payload)
        if stream.full:
            self.session.full = True
            self.session.unread = stream.messages

    def _changed(self) -> None:
        """Something has been answered, or there is room again."""
        if not self._waits:
            self._take()

    def _finish_if_idle(self) -> None:
        session = self.session
        if not session.busy and not self._waits and (session.draining or self._input_over):
            self._talk.finish()
            self._close()

    def _expire(self) -> None:
        self._alarm = None
        self._end(CallFault(DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def _end(self, fault: CallFault | None) -> None:
        """End before all is answered."""
        if fault is not None:
            self._talk.fail(fault)
        self._talk.over = True
        self._close()
        self.session.lost()

    def revoke(self) -> None:
        """Who calls may do so no more: what is under way is answered so, and the call ends."""
        error, self._waits = self._talk.entry.ended(), True  # it does not end by having nothing more under way
        self.session.cut()
        self._end(CallFault(status_number(error.grpc_status), error.detail))

    def _close(self) -> None:
        self._release()
        self._intake.close()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def drain(self) -> None:
        """End when what is in flight is answered."""
        self.session.draining = True
        if not self._talk.over:
            self._finish_if_idle()

    def sweep(self) -> None:
        """See `ICall`."""
        timeout = self._lane.limits.body_timeout
        if self._intake.quiet() > timeout:
            self._talk.refuse(late(timeout))
            self._end(None)

    def cut(self) -> None:
        """Answer at once whatever is under way."""
        self.session.cut()
        self._finish_if_idle()
