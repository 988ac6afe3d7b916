"""Where the log goes in a program of the user's own."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

from twisted.logger import Logger, LogLevel, STDLibLogObserver, globalLogBeginner

__all__ = ["hear_logging", "log_as_python_does", "log_told"]

_LEVELS = ((50, LogLevel.critical), (40, LogLevel.error), (30, LogLevel.warn), (20, LogLevel.info), (0, LogLevel.debug))


def _level(number: int) -> Any:
    return next(ours for theirs, ours in _LEVELS if number >= theirs)


def log_told(executor: str, level: int, logger: str, text: str) -> None:
    """Log what an executor's own process was told through ``logging``, under the names of the executor and the logger.

    :param level: as ``logging`` numbers them.
    """
    Logger(logger or "logging").emit(_level(level), "executor {executor}: {text}", executor=executor, text=text)


class _Heard(logging.Handler):
    """Passes what Python's ``logging`` is told on to Twisted's log."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "twisted":  # it comes from there
            return
        try:
            Logger(record.name or "logging").emit(_level(record.levelno), "{text}", text=self.format(record))
        except Exception:
            self.handleError(record)


def hear_logging() -> None:
    """Have what executors, and the libraries that they use, write through ``logging`` in twistd's log, from INFO on.

    Handlers that write to the terminal are taken out: a daemon has none, and elsewhere all would be there twice.
    It may be called again, after somebody has configured ``logging``.
    """
    root = logging.getLogger()
    terminal = (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    for handler in list(root.handlers):
        if isinstance(handler, logging.StreamHandler) and handler.stream in terminal:
            root.removeHandler(handler)
    if not any(isinstance(handler, _Heard) for handler in root.handlers):
        root.addHandler(_Heard())
    if root.level == logging.WARNING:  # as it is where nobody has said anything
        root.setLevel(logging.INFO)


def log_as_python_does() -> None:
    """Hand the log to ``logging``, where a Python program looks for it, unless it goes somewhere already."""
    if getattr(globalLogBeginner, "_temporaryObserver", None) is None:
        return
    shown = warnings.showwarning
    globalLogBeginner.beginLoggingTo([STDLibLogObserver()], redirectStandardIO=False)
    warnings.showwarning = shown  # those are the program's own
