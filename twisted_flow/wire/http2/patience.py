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

    def spend(self, what: str, cost: int = 1) -> None:
        """A frame came.

        :raises ConnectionFault: if it is one too many.
        """
        self.left -= cost
        if self.left < 0:
            raise ConnectionFault(ENHANCE_YOUR_CALM, f"too many frames that bring nothing; the last: {what}")

    def refund(self, more: int) -> None:
        """Something was sent, for which as many frames may be the answer."""
        self.left = min(_MOST, self.left + more)

    def tick(self) -> None:
        """A second has gone by."""
        self.refund(_A_SECOND)
