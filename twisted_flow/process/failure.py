"""Ending a process with status 1."""

from __future__ import annotations

import atexit
import os
import sys

__all__ = ["end_with_failure"]


def end_with_failure() -> None:
    """Stop the reactor, and have the process exit with status 1. (The reactor itself has none, and an exception would
    hang a daemon.)
    """
    from twisted.internet import reactor

    atexit.register(_exit)
    reactor.stop()


def _exit() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
