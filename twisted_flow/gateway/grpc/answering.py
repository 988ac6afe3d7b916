"""Calls on the lane that are answered at once, message by message: health's, and reflection's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from ...answer import Entry
from ...errors import BadRequest, FlowError, Unavailable
from ...wire.grpc.statuses import DEADLINE_EXCEEDED, UNAVAILABLE, CallFault
from ...wire.http2.fields import Fields
from ...wire.http2.stream import Stream
from .call import ICall
from .call_head import CallHead
from .intake import Intake, late
from .talk import Talk

if TYPE_CHECKING:
    from .lane import GRPCLane

__all__ = ["AnsweringCall"]


@final
@implementer(ICall)
class AnsweringCall:
    """One call.

    :param reply: the answer to a message. It raises a `FlowError`, or a `CallFault`.
    :param many: whether there may be several messages, or just one.
    :param watch: what tells more, after the only message: it is given that message, and what sends one; and returns
        what ends it.
    """

    def __init__(
        self,
        lane: GRPCLane,
        stream: Stream,
        head: CallHead,
        entry: Entry,
        reply: Callable[[bytes], bytes],
        many: bool = False,
        watch: Callable[[bytes, Callable[[bytes], object], Callable[[], object]], Callable[[], object]] | None = None,
    ) -> None:
        self._lane, self._stream, self._talk = lane, stream, Talk(stream, entry)
        self._reply, self._many, self._watch = reply, many, watch
        self._intake = Intake(stream, head.encoding, lane.limits, lane.account)
        self._answered = False
        self._waits = False
        self._end_watch: Callable[[], object] = lambda: None
        self._release = entry.hold(self.revoke)
        self._alarm: IDelayedCall | None = None
        if head.timeout is not None:
            self._alarm = lane.clock.callLater(head.timeout, self._expire)

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        self._intake.came(data, at, end)
        self._take()

    def ended(self) -> None:
        """See `IStreamListener`."""
        self._take()

    def _take(self) -> None:
        inbound = self._lane.http2.inbound
        try:
            while not self._talk.over and not self._waits and (self._many or not self._answered):
                if inbound.steps <= 0 or self._stream.full:
                    self._wait()
                    break
                message = self._intake.next()
                if message is None:
                    break
                inbound.steps -= 1
                self._answer(message)
            self._intake.settle()
            if not self._stream.open_in and not self._waits and not self._talk.over:
                self._end()
        except CallFault as fault:
            self._talk.fail(fault)
            self._close()
        except FlowError as error:
            self._talk.refuse(error)
            self._close()

    def _wait(self) -> None:
        """Others have their turn; or the client has to read first."""
        self._waits = True
        if not self._stream.full:
            self._lane.http2.inbound.wait(self.roomy)

    def _answer(self, message: bytes) -> None:
        self._talk.send(self._reply(message))
        self._answered = True
        if self._watch is not None:
            self._end_watch = self._watch(message, self._talk.send, self._finish)
        elif not self._many:
            self._finish()

    def _end(self) -> None:
        self._intake.check_end()
        if not self._answered and not self._many:
            raise BadRequest("the call has no message; one is required")
        if self._many:
            self._finish()

    def _finish(self) -> None:
        self._talk.finish()
        self._close()

    def _expire(self) -> None:
        self._alarm = None
        self._talk.fail(CallFault(DEADLINE_EXCEEDED, "Deadline Exceeded"))
        self._close()

    def roomy(self) -> None:
        """See `IStreamListener`."""
        self._waits = False
        self._take()

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""
        self._talk.over = True
        self._close()

    def sweep(self) -> None:
        """See `ICall`."""
        timeout = self._lane.limits.body_timeout
        if self._intake.quiet() > timeout:
            self._talk.refuse(late(timeout))
            self._close()

    def drain(self) -> None:
        """End: nobody waits for messages that may come still."""
        if self._talk.over:
            return
        if self._answered or self._many:
            self._finish()
        else:
            self._talk.refuse(Unavailable("the server is stopping"))
            self._close()

    def cut(self) -> None:
        """End."""
        if not self._talk.over:
            self._talk.fail(CallFault(UNAVAILABLE, "the server is stopping"))
            self._close()

    def revoke(self) -> None:
        """Who calls may do so no more."""
        self._talk.refuse(self._talk.entry.ended())
        self._close()

    def _close(self) -> None:
        self._release()
        self._end_watch()
        self._intake.close()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
