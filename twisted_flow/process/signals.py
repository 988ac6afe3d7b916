"""Signals: being told to stop, to reload, or to say what goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["exit_on_next_interrupt", "exit_on_signals", "on_signals", "wait_for_stop"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 1.0  # seconds after which a further signal to stop means it


def on_signals(reload: Callable[[], None], dump: Callable[[], None]) -> None:
    """SIGQUIT stops as SIGTERM does, SIGHUP calls *reload*, and SIGUSR1 *dump*, beside what it did (twistd's log begins
    a new file).

    Unhandled they would end the process, whatever is in flight.
    """
    for name, function in (("SIGQUIT", _terminate), ("SIGHUP", reload), ("SIGUSR1", dump)):
        number = getattr(signal, name, None)  # Windows has none of them
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup's stays
            before = signal.getsignal(number) if name == "SIGUSR1" else None
            signal.signal(number, _handler(function, before))


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _handler(function: Callable[[], None], before: object) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if callable(before) and before is not signal.default_int_handler:
            before(number, frame)
        function()

    return handle


def exit_on_signals() -> None:
    """Where the first SIGTERM or Ctrl-C has done nothing a second later, because something keeps the event loop from
    turning, the next one ends the process at once.
    """
    for number in _SIGNALS:
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, _insisting(before))


def _insisting(before: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
    told = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal told
        now = time.monotonic()
        if not told:
            told = now
            before(number, frame)
        elif now - told > _PATIENCE:  # sooner it says nothing new
            os.write(2, b"told to stop again, and the event loop has not turned since: ending at once\n")
            _end_at_once(number, None)

    return handle


def exit_on_next_interrupt() -> None:
    """From now on Ctrl-C ends the process at once, and SIGTERM, which a supervisor may send twice, says nothing new."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end_at_once)
    for name in ("SIGTERM", "SIGQUIT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)


def _end_at_once(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the first process of a container is not ended by signals


def wait_for_stop() -> None:
    """Wait for Ctrl-C or SIGTERM, in the main thread, and give the signals back to who had them."""
    told = threading.Event()
    before = [signal.signal(number, lambda *_: told.set()) for number in _SIGNALS]
    try:
        told.wait()
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
