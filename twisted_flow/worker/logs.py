"""The log of an executor's process, which is the server's: records of `logging` and warnings are sent there."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .messages import Told

__all__ = ["send_logging"]


class _Sending(logging.Handler):
    def __init__(self, send: Callable[[Told], object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(Told(record.levelno, record.name, self.format(record)))
        except Exception:
            self.handleError(record)


def send_logging(send: Callable[[Told], object]) -> None:
    """Have *send* called with each record from INFO on, and with each warning."""
    root = logging.getLogger()
    root.addHandler(_Sending(send))
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
