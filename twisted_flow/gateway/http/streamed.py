"""One answer in parts, as it leaves over HTTP: its head when there is something behind it, heartbeats, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ...answer import Answer, AnswerStream
from ..sending import Sending
from .event_streams import EVENTS, HEARTBEAT

__all__ = ["Streamed"]

_BEAT = 15.0  # seconds


@final
class Streamed:
    """See the module. Begin it by `go_on`.

    :param stream: what is sent.
    :param head: writes the head.
    :param write: writes what comes behind it.
    :param whole: writes an answer that is whole, in place of all that: of what failed before there was a part.
    :param done: called once, when all is written.
    :param full: whether the client does not read; call `go_on` when it does again.
    :param clock: hands out time.
    """

    def __init__(
        self,
        stream: AnswerStream,
        head: Callable[[], object],
        write: Callable[[bytes], object],
        whole: Callable[[Answer], object],
        done: Callable[[], object],
        full: Callable[[], bool],
        clock: IReactorTime,
    ) -> None:
        self._stream, self._head, self._write, self._whole, self._done = stream, head, write, whole, done
        self._full, self._clock = full, clock
        self._quiet = False  # whether nothing was written since the last beat
        self._alarm: IDelayedCall | None = None
        self._sending = Sending(stream, self._send, full, self._end, lambda call: clock.callLater(0, call))

    def go_on(self) -> None:
        """Send what is there."""
        if self._alarm is None:
            self._beat_later()
        self._sending.go_on()

    def cancel(self) -> None:
        """End the work, and tell why."""
        self._sending.cancel()

    def _send(self, piece: Answer) -> None:
        self._quiet = False
        if not self._stream.begun:
            self._whole(piece)
            return
        self._begin()
        self._write(piece.body)

    def _begin(self) -> None:
        head, self._head = self._head, lambda: None
        head()

    def _end(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._done()

    def _beat_later(self) -> None:
        self._quiet = True
        self._alarm = self._clock.callLater(_BEAT, self._beat)

    def _beat(self) -> None:
        if self._quiet and not self._full():
            self._stream.begun = True
            self._begin()
            if self._stream.form.content_type == EVENTS:
                self._write(HEARTBEAT)
        self._beat_later()
