"""Being told to stop."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

__all__ = ["told_to_stop", "wait_for_stop"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def told_to_stop() -> None:
    """From now on Ctrl-C ends the process at once, and SIGTERM, which a supervisor may send twice, says nothing new."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end_at_once)
    signal.signal(signal.SIGTERM, lambda *_: None)


def _end_at_once(number: int, _: Any) -> None:
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
