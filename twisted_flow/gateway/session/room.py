"""How many requests of one connection may be in flight: fewer, the larger messages are of late."""

from __future__ import annotations

from ...limits import Limits

__all__ = ["Room"]

_UNKNOWN = 16  # until the first is answered: nothing says how large answers are


class Room:
    """See the module."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.small = limits.max_in_flight_size // limits.max_in_flight
        """Bytes of a message, of which as many as may be have room."""
        self.large = 1
        """Bytes of the largest message of late, if that is not small; 1: no answer was seen yet."""
        self.most = min(limits.max_in_flight, _UNKNOWN)
        """How many there may be."""

    def weigh(self, size: int) -> None:
        """Note the size of a message, in or out.

        What is large is forgotten slowly: large answers belong to small requests, or the other way round.
        """
        self.large = large = max(size, self.large - (self.large >> 3))
        if large <= self.small:
            self.large = 0
        most = self._limits.max_in_flight
        self.most = max(1, min(most, self._limits.max_in_flight_size // large)) if self.large else most
