"""Where the log goes in a program of the user's own."""

from __future__ import annotations

import warnings

from twisted.logger import STDLibLogObserver, globalLogBeginner

__all__ = ["log_as_python_does"]


def log_as_python_does() -> None:
    """Hand the log to ``logging``, where a Python program looks for it, unless it goes somewhere already."""
    if getattr(globalLogBeginner, "_temporaryObserver", None) is None:
        return
    shown = warnings.showwarning
    globalLogBeginner.beginLoggingTo([STDLibLogObserver()], redirectStandardIO=False)
    warnings.showwarning = shown  # those are the program's own
