"""How far a call has come, on one line of the terminal."""

from __future__ import annotations

import sys
import time

__all__ = ["Progress"]

_EVERY = 0.1  # seconds between two looks of the line


class Progress:
    """Counts what is answered, and shows it on standard error."""

    def __init__(self) -> None:
        self.documents = self.requests = 0
        self._began = time.monotonic()
        self._due = self._began + _EVERY

    def answered(self, documents: int) -> None:
        """A request that had so many documents is answered."""
        self.documents += documents
        self.requests += 1
        if time.monotonic() >= self._due:
            self._show("")

    def end(self) -> None:
        """Print the final count."""
        self._show("\n")

    def _show(self, ending: str) -> None:
        now = time.monotonic()
        self._due = now + _EVERY
        took = now - self._began
        rate = self.documents / took if took else 0.0
        documents, requests = _several(self.documents, "document"), _several(self.requests, "request")
        line = f"\r{documents} in {requests}, {took:.1f} s, {rate:.0f}/s"
        sys.stderr.write(line + ending)
        sys.stderr.flush()


def _several(number: int, name: str) -> str:
    return f"{number} {name}" + ("" if number == 1 else "s")
