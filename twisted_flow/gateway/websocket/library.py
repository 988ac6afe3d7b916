"""Autobahn's protocol, as it is used here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol

from ...codec.codecs import CODECS
from ..session.session import Session

__all__ = ["SUBPROTOCOLS", "LibraryProtocol"]

SUBPROTOCOLS = tuple(row.name for row in CODECS if row.messages)
_POLICY_VIOLATION = 1008


class LibraryProtocol(WebSocketServerProtocol):
    """See the module."""

    factory: Any
    transport: Any
    speaks = "websocket"
    autoPingInterval: float

    flow_paused = False
    """Whether nothing is read, not even pongs."""
    flow_dead = False
    """Whether the client has gone without a word."""
    flow_cut = False
    """Whether what still comes is not looked at."""
    flow_session: Session | None = None
    """Of the messages, once the handshake is done."""
    flow_release: Callable[[], object] = staticmethod(int)
    """To be called when the connection is gone: see `Entry.hold`."""

    def onConnect(self, request: Any) -> str | None:
        """Choose the subprotocol: the client's first that is known here."""
        return next((each for each in request.protocols if each in SUBPROTOCOLS), None)

    def flow_revoke(self) -> None:
        """Who has connected may ask no more: what is under way is answered so, and the connection ends."""
        session, self.flow_session = self.flow_session, None  # what still comes is Autobahn's alone
        if session is not None:
            session.cut()
            session.lost()
        self._fail_connection(_POLICY_VIOLATION, "the credentials hold no more")

    def flow_quiet(self) -> bool:
        """Whether Autobahn is between two messages, with nothing of its own to go on with."""
        between = self.current_frame is None and not self.inside_message
        return self.state == self.STATE_OPEN and not self.data and between

    def onAutoPingTimeout(self) -> None:
        """No pong came: drop the client, unless it reads slowly (see `sweep`) or we have paused reading its pongs."""
        if self.flow_paused:
            self.autoPingTimeoutCall = self.autoPingPending = None
            self.autoPingPendingCall = self.factory._batched_timer.call_later(self.autoPingInterval, self._sendAutoPing)
            return
        self.flow_dead = True
        super().onAutoPingTimeout()

    def dropConnection(self, abort: bool = False) -> None:
        """Close after what was written has been sent, unless nobody reads it."""
        super().dropConnection(abort and self.flow_dead)

    def flow_forget(self) -> None:
        """Let go what has come of a message: Autobahn's objects refer to each other."""
        autobahn: Any = self
        autobahn.data = b""
        autobahn.message_data = autobahn.frame_data = autobahn.control_frame_data = autobahn.current_frame = None

    def writeConnectionLost(self) -> None:
        """Part of `IHalfCloseableProtocol`; we close all at once."""

    def stopProducing(self) -> None:
        """Part of `IPushProducer`."""
