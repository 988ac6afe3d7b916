"""How many frames a peer may send that bring nothing: floods of them end a connection, a few do not."""

from __future__ import annotations

from typing import final

from .codes import ENHANCE_YOUR_CALM, ConnectionFault

__all__ = ["Patience"]

_MOST, _A_SECOND = 4096, 1024


@final
class Patience:
    """A number that such frames take from; what is sent to the peer, and time, give back to it."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _MOST
        """How many may come. Whoever sends something adds what may be the answer to it."""

    def spend(self, what: str, cost: int = 1) -> None:
        """A frame came.

        :raises ConnectionFault: if it is one too many.
        """
        self.left = min(_MOST, self.left) - cost
        if self.left < 0:
            raise ConnectionFault(ENHANCE_YOUR_CALM, f"too many frames that bring nothing; the last: {what}")

    def tick(self) -> None:
        """A second has gone by."""
        self.left += _A_SECOND
