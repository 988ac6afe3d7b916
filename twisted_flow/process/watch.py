"""Watching the event loop: what blocks it is named in the log, with the line of code; so is a lack of descriptors."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import traceback
from types import FrameType
from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..telemetry.printable import printable

__all__ = ["LoopWatch", "watch_loop"]

log = Logger()

_LAG, _BEAT = 1.0, 0.25  # seconds without a turn that are told; seconds between two signs of life
_AGAIN = 60.0  # seconds until the same is told again
_MOST_FRAMES = 50


class LoopWatch:
    """Logs where the loop is blocked, while it is: a thread watches for a callback that the loop runs regularly.

    :param clock: of the loop.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._beating = LoopingCall(self._beat)
        self._beating.clock = clock
        self._last = 0.0
        self._told = -_AGAIN
        self._ended = threading.Event()

    def start(self) -> None:
        """On the loop: begin to watch it."""
        self._loop_thread = threading.get_ident()
        self._beating.start(_BEAT)
        threading.Thread(target=self._watch, name="loop watch", daemon=True).start()

    def stop(self) -> None:
        """Watch it no more."""
        self._ended.set()
        if self._beating.running:
            self._beating.stop()

    def _beat(self) -> None:
        self._last = now = time.monotonic()
        if now - self._told > _AGAIN:
            try:
                os.close(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._told = now
                    log.error("out of file descriptors: new connections wait until others close ({error})", error=error)

    def _watch(self) -> None:
        """In the thread."""
        told_of = 0.0
        while not self._ended.wait(_BEAT):
            last = self._last
            if time.monotonic() - last > _LAG and last != told_of:
                told_of = last
                frame = sys._current_frames().get(self._loop_thread)
                log.warn(
                    "the event loop has been blocked for more than {lag:g} s: {where}\n{stack}",
                    lag=_LAG, where=_where(frame), stack="".join(traceback.format_stack(frame)[-_MOST_FRAMES:]),
                )  # fmt: skip


def _where(frame: FrameType | None) -> str:
    """Which endpoint's method the loop runs, as far as the frames tell."""
    while frame is not None:
        request = frame.f_locals.get("request")
        header = getattr(request, "header", None)
        if header is not None:
            name = printable(str(getattr(request, "request_id", "")))
            return f"request {name} to {printable(header.exec_endpoint)}"
        frame = frame.f_back
    return "no request"


def watch_loop() -> LoopWatch:
    """The watch of the reactor's loop, which has begun."""
    from twisted.internet import reactor  # chosen by now

    watch = LoopWatch(cast(IReactorTime, reactor))
    watch.start()
    return watch
