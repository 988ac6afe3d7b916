"""Waiting to be told to stop."""

from __future__ import annotations

import signal
import threading

__all__ = ["wait_for_stop"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def wait_for_stop() -> None:
    """Wait for Ctrl-C or SIGTERM, in the main thread, and give the signals back to who had them."""
    told = threading.Event()
    before = [signal.signal(number, lambda *_: told.set()) for number in _SIGNALS]
    try:
        told.wait()
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
