"""How often values of which size came: plain numbers, which cost next to nothing where they are counted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import final

__all__ = ["DOCUMENTS", "LAG", "SECONDS", "Histogram"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of times that requests take."""
LAG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""The same of the event loop's lag."""
DOCUMENTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Bounds of numbers of documents."""


@final
class Histogram:
    """See the module.

    :param bounds: of its buckets, each takes what is not above its own; they grow, and one more takes the rest.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count *value*."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: Histogram) -> None:
        """Count all that *other*, which has the same bounds, has counted."""
        self.counts = [one + another for one, another in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum
