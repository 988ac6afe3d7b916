"""One WebSocket connection: Autobahn's protocol, with a lane in front of its parser."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from zope.interface import implementer

from ...answer import Entry
from ...wire.websocket import BINARY, CLOSE, TEXT, frame_end, frame_head, plain_frame
from ..session.session import Session
from ..stalled import StallTimer
from .fragments import Fragments
from .library import LibraryProtocol

__all__ = ["FlowProtocol"]

END_OF_INPUT = b"\x00"
"""The binary frame with which a client says that it sends no more."""

_GOING_AWAY, _NORMAL = 1001, 1000
_AHEAD = 1 << 16  # bytes


@implementer(IPushProducer, IHalfCloseableProtocol)
class FlowProtocol(LibraryProtocol):
    """One connection. What is its own is named apart from Autobahn's many names."""

    def flow_begin(self, upgrade: Any, entry: Entry) -> None:
        """Called before the connection is made; *entry* has what its head says."""
        self.flow_entry = entry
        self.flow_upgrade, self.flow_connections = upgrade, upgrade.connections
        self.flow_rest: bytes | bytearray = b""  # what came; what of it is not taken yet begins here:
        self.flow_at = 0
        self.flow_wanted = 0  # how much of that has to be there before another look at it is worth while
        self.flow_passing = 0  # how much of a frame is still to come that is Autobahn's
        self.flow_due: IDelayedCall | None = None  # the call that goes on with the rest, in another turn of the loop
        self.flow_full = self.flow_taking = self.flow_waits = self.flow_cut = False
        self.flow_stall_timer = StallTimer()
        self.flow_last = False  # whether the client has said that it sends no more
        self.flow_whole = False  # whether no more can come in
        self.flow_fragments = Fragments(upgrade.limits.max_body, upgrade.connections.buffered)

    def onOpen(self) -> None:
        """The handshake is done."""
        up = self.flow_upgrade
        self.flow_session = Session(
            up.dispatcher,
            self.flow_entry,
            self.websocket_protocol_in_use,
            self.flow_send,
            self.flow_changed,
            up.limits,
            up.connections.buffered,
            partial(up.clock.callLater, 0),
            getattr(self.transport, "flush", None),
        )
        self.flow_release = self.flow_entry.hold(self.flow_revoke)
        self.flow_note_full(self.flow_full)
        self.transport.registerProducer(self, True)
        if self.flow_connections.draining:
            self.drain()

    def dataReceived(self, data: bytes) -> None:
        """Answer plain frames on the spot; leave the others to Autobahn, one by one."""
        if self.flow_cut:
            return
        if self.autoPingTimeoutCall:
            self._cancelAutoPingTimeoutCall()  # whoever sends anything is there
        if not self.flow_rest:
            self.flow_rest = data  # as most: there is nothing to put it behind
        else:
            if type(self.flow_rest) is bytes:
                self.flow_rest = bytearray(self.flow_rest)
            self.flow_rest += data
        if self.flow_due is None:
            self.flow_take()
        else:
            self.flow_pause_or_resume()

    def flow_take(self) -> None:
        """Take the frames that are there, while there is room for their answers."""
        if self.flow_taking:
            return
        data, at, end = self.flow_rest, self.flow_at, len(self.flow_rest)
        if end - at >= self.flow_wanted:
            self.flow_taking, self.flow_waits, self.flow_wanted = True, False, 0
            self.flow_at = self.flow_taken(data, at, end)
            self.flow_taking = False
            if len(self.flow_rest) > end:  # more came meanwhile
                self.flow_take()
                return
        if self.flow_at >= len(self.flow_rest):
            self.flow_rest, self.flow_at = b"", 0
        elif type(self.flow_rest) is bytearray:
            del self.flow_rest[: self.flow_at]
            self.flow_at = 0
        if self.flow_whole and self.flow_due is None and (not self.flow_rest or self.flow_wanted):
            self.flow_end_of_input()
        self.flow_pause_or_resume()
        self.flow_idle()

    def flow_taken(self, data: bytes | bytearray, at: int, end: int) -> int:
        """Take what is in *data* between *at* and *end*, as far as it goes: to the position that is returned."""
        limits, session = self.flow_upgrade.limits, self.flow_session
        if session is None:  # the handshake
            self._dataReceived(bytes(data[at:end]))
            return end
        quiet, more, most = self.flow_quiet(), limits.max_steps, limits.max_body
        under_way = session.under_way
        since = datetime.now(UTC)  # once for all that came at once: to look at the clock takes a fortieth of a message
        while at < end and not self.flow_due:
            if not more:  # others have their turn
                self.flow_due = self.flow_upgrade.clock.callLater(0, self.flow_go_on)
                return at
            more -= 1
            if under_way.in_flight + session.unread < session.room.most and session.calm:
                ahead = most
            else:
                ahead = session.ahead
            frame = plain_frame(data, at, most) if quiet and ahead else None
            if frame is None:
                stop = self.flow_passed(data, at, end, not ahead)
                if stop == at:
                    return at
                at, quiet = stop, self.flow_quiet()
                continue
            payload, stop = frame
            if ahead < most and stop - at > ahead:
                self.flow_waits = True
                return at
            if payload is None:
                self.flow_wanted = stop - at  # no look at it before it is all there
                return at
            binary, at = data[at] & 15 == BINARY, stop
            self.flow_message(payload, binary, since)
        return at

    def flow_passed(self, data: bytes | bytearray, at: int, end: int, crowded: bool) -> int:
        """Let Autobahn have the frame that begins at *at*, or goes on there: as much of it as is there.

        :return: where that ends; *at* if it cannot be judged yet, or has to wait.
        """
        if not self.flow_passing:
            stop = frame_end(data, at)
            if stop is None:
                self.flow_wanted = end - at + 1
                return at
            if crowded and data[at] & 15 < CLOSE:  # of a message; of the connection itself one may speak at any time
                self.flow_waits = True
                return at
            self.flow_passing = stop - at
            if data[at] & 15 < CLOSE and self.flow_refused(data[at], stop - at):
                return end
        stop = min(end, at + self.flow_passing)
        self.flow_passing -= stop - at
        self._dataReceived(bytes(data[at:stop]))
        return stop

    def flow_refused(self, first: int, size: int) -> bool:
        """Whether the frame of a message that comes, of *size* bytes with its head, is one too many; then it ends."""
        refusal = self.flow_fragments.refusal(first, size) if self.state == self.STATE_OPEN else None
        if refusal is not None:
            self._fail_connection(*refusal)
        return refusal is not None

    def flow_go_on(self) -> None:
        """In a later turn of the loop."""
        self.flow_due = None
        self.flow_take()

    def flow_pause_or_resume(self) -> None:
        """Read on only while there is room for answers; a little may be read ahead, so that pongs and ends are seen."""
        ahead = len(self.flow_rest) - self.flow_at > _AHEAD
        pause = ahead and (self.flow_waits or self.flow_due is not None)
        if pause != self.flow_paused and self.state != self.STATE_CLOSED:
            self.flow_paused = pause
            (self.transport.pauseProducing if pause else self.transport.resumeProducing)()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message came Autobahn's way."""
        self.flow_fragments.account.keep(0)
        self.flow_message(payload, isBinary)

    def flow_message(self, payload: bytes, binary: bool, since: datetime | None = None) -> None:
        """A message came."""
        session = self.flow_session
        if binary and payload == END_OF_INPUT:
            self.flow_end_of_input()
        elif session is not None:
            session.received(payload, binary, since)

    def flow_send(self, payload: bytes, binary: bool) -> None:
        """Send a message, as one frame."""
        if self.state == self.STATE_OPEN:
            self.transport.write(frame_head(BINARY if binary else TEXT, len(payload)) + payload)
            if self.flow_full and self.flow_session is not None:
                self.flow_session.unread += 1
        if self.flow_rest and not self.flow_due:
            self.flow_take()

    def flow_changed(self) -> None:
        """Something has been answered, or there is room again."""
        if self.flow_rest and not self.flow_due:
            self.flow_take()
        else:
            self.flow_pause_or_resume()
            self.flow_idle()

    def flow_idle(self) -> None:
        """If nothing is in flight, and nothing is to come, close."""
        session = self.flow_session
        if session is None or session.busy or self.flow_taking or (self.flow_rest and not self.flow_ends()):
            return
        if self.state == self.STATE_OPEN and (self.flow_last or session.draining) and self.flow_due is None:
            self.sendCloseFrame(_NORMAL if self.flow_last else _GOING_AWAY)
            if self.flow_whole:
                self.transport.loseConnection()

    def flow_ends(self) -> bool:
        """Whether what has not come in whole is not waited for."""
        return self.flow_whole or (self.flow_session is not None and self.flow_session.draining)

    def drain(self) -> None:
        """See `Connections`: answer what is in flight, then close."""
        if self.flow_session is not None:
            self.flow_session.draining = True
            self.flow_idle()

    def readConnectionLost(self) -> None:
        """The client sends no more. See `Lane.readConnectionLost`."""
        if self.flow_session is None or self.state != self.STATE_OPEN:
            self.transport.loseConnection()
            return
        self.flow_whole = True
        self.flow_connections.half_closed(self, self.flow_upgrade.limits.half_close_grace)
        self.flow_last = True
        self.flow_take()

    def flow_end_of_input(self) -> None:
        """The client sends no more."""
        self.flow_last = True
        if self.flow_session is not None:
            self.flow_session.end_of_input()

    def cut(self) -> None:
        """See `Connection`."""
        if self.flow_session is not None:
            self.flow_session.cut()
        self.flow_whole = self.flow_cut = True  # what still comes is not looked at
        self.flow_rest, self.flow_at = b"", 0
        self.flow_idle()

    def sweep(self, second: int) -> None:
        """See `Connections`: a client that does not read its answers is dropped; pings find those that are gone."""
        if (
            self.flow_stall_timer.seconds(self.transport, second, self.flow_full)
            > self.flow_upgrade.limits.write_timeout
        ):
            self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """The client does not read."""
        self.flow_note_full(True)
        self.flow_pause_or_resume()

    def resumeProducing(self) -> None:
        """The client reads again: resume."""
        self.flow_note_full(False)
        if self.flow_session is not None:
            self.flow_session.resume()
        self.flow_take()

    def flow_note_full(self, full: bool) -> None:
        """Note whether the client does not read."""
        self.flow_full = full
        if self.flow_session is not None:
            self.flow_session.full = full
            self.flow_session.unread = self.flow_upgrade.limits.max_in_flight if full else 0

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """The connection is gone. What it had sent of a message is let go: Autobahn's objects refer to each other."""
        self.flow_rest, self.flow_at = b"", 0
        self.flow_fragments.account.keep(0)
        self.flow_forget()
        if self.flow_due is not None:
            self.flow_due.cancel()
            self.flow_due = None
        self.flow_connections.remove(self)
        self.flow_release()
        if self.flow_session is not None:
            self.flow_session.lost()
