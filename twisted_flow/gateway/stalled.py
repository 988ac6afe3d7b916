"""Whether a client takes what was written to it."""

from __future__ import annotations

__all__ = ["StallTimer"]


class StallTimer:
    """Watches one connection, once a second, for as long as its client reads more slowly than is written."""

    def __init__(self) -> None:
        self._left, self._since = -1, 0

    def seconds(self, transport: object, second: int, full: bool) -> int:
        """For how many seconds, up to *second*, the client has taken nothing.

        :param full: whether there is more for it than it reads now.
        """
        left = getattr(transport, "unsent", int)() if full else -1  # another reactor's transports cannot tell: 0
        if left != self._left or not full:
            self._left, self._since = left, second
        return second - self._since
