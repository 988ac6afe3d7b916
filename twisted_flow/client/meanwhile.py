"""Delivering answers while the caller's generator is making its next input, which may depend on them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..message import Request, Response

__all__ = ["Meanwhile"]

_PATIENCE = 0.1  # seconds that the next input may take before answers are told by another thread
_LOOK = 0.05  # seconds


class Meanwhile:
    """Calls back for answers in the caller's thread; while that runs the generator for long, in another thread.

    Never in both at once.

    :param outcomes: what has come.
    :param take: tells of one.
    """

    def __init__(self, outcomes: queue.SimpleQueue[Any], take: Callable[[Any], Iterator[Response]]) -> None:
        self.outcomes, self.take = outcomes, take
        self.told: list[Any] = []
        """For each answer that was told of meanwhile: the responses, or what telling raised."""
        self._lock = threading.Lock()
        self._making, self._over = threading.Event(), False
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def next_of(self, requests: Iterator[Request]) -> Request | None:
        """The next of *requests*; None: there is none."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
            self._thread.start()
        self._done.clear()
        self._making.set()
        try:
            return next(requests, None)
        finally:
            self._making.clear()
            self._done.set()
            with self._lock:  # what is being told is told to its end
                pass

    def end(self) -> None:
        """The generator has ended."""
        self._over = True
        self._making.set()
        self._done.set()

    def _work(self) -> None:
        while self._making.wait() and not self._over:
            if self._done.wait(_PATIENCE):
                continue
            while not self._done.wait(_LOOK):
                self._tell()

    def _tell(self) -> None:
        """Call back for what has come, one by one, until the next input is there."""
        while True:
            with self._lock:
                if self._done.is_set() or self.outcomes.empty():
                    return
                try:
                    self.told.append(list(self.take(self.outcomes.get())))
                except BaseException as error:
                    self.told.append(error)
