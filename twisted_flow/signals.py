"""Being told to stop."""

from __future__ import annotations

import signal
import threading

__all__ = ["told_to_stop", "wait_for_stop"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def told_to_stop() -> None:
    """From now on Ctrl-C ends the process at once, and SIGTERM, which a supervisor may send twice, says nothing new."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: None)


def wait_for_stop() -> None:
    """Wait for Ctrl-C or SIGTERM, in the main thread, and give the signals back to who had them."""
    told = threading.Event()
    before = [signal.signal(number, lambda *_: told.set()) for number in _SIGNALS]
    try:
        told.wait()
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
