"""Sending an answer that comes in parts: as they come, and while the connection takes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast, final

from twisted.internet.defer import Deferred

from ..answer import Answer, AnswerStream

__all__ = ["Sending"]

_TURN, _TIME = 64, 0.005  # parts that are there already, and seconds, until others have their turn


@final
class Sending:
    """See the module. Begin it by `go_on`.

    :param stream: what is sent.
    :param send: sends a piece.
    :param full: whether the client does not read what was sent before: then `go_on` is called when it does again.
    :param done: called once, behind the last piece.
    :param later: has a function called in another turn of the loop.
    :param flush: has what was sent leave now, not with all else that this turn brings: for the first piece.
    """

    def __init__(
        self,
        stream: AnswerStream,
        send: Callable[[Answer], object],
        full: Callable[[], bool],
        done: Callable[[], object],
        later: Callable[[Callable[[], object]], object],
        flush: Callable[[], object] | None = None,
    ) -> None:
        self._flush = flush
        self.stream, self._send, self._full, self._done, self._later = stream, send, full, done, later
        self._busy = False  # whether a part is awaited, or is being sent, or will be in another turn
        self._over = False

    def go_on(self) -> None:
        """Send what is there."""
        if self._busy or self._over:
            return
        self._busy = True
        until = time.monotonic() + _TIME
        for _ in range(_TURN):
            if self._full():
                self._busy = False
                return
            piece = self.stream.pull()
            if isinstance(piece, Deferred):
                piece.addCallback(self._came)
                return
            if self._sent(piece):
                return
            if time.monotonic() > until:
                break
        self._later(self._again)

    def cancel(self) -> None:
        """End the work, and send why: see `Gateway.ended`."""
        if self._over:
            return
        self.stream.cancel()  # what is awaited has come by now
        if not self._over:
            self._sent(cast(Answer, self.stream.pull()))

    def _came(self, piece: Answer) -> None:
        if not self._sent(piece):
            self._again()

    def _again(self) -> None:
        self._busy = False
        self.go_on()

    def _sent(self, piece: Answer) -> bool:
        """Send *piece*; return whether it was the last."""
        if self._over:
            return True
        self._over = self.stream.over
        self._send(piece)
        if self._flush is not None:
            flush, self._flush = self._flush, None
            flush()
        if self._over:
            self._done()
        return self._over
