"""How often values of which size came: plain numbers, which cost next to nothing where they are counted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, final

__all__ = ["DOCUMENTS", "LAG", "LEAST", "SECONDS", "Counted", "Histogram", "Times"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of times that requests take."""
LAG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""The same of the event loop's lag."""
DOCUMENTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Bounds of numbers of documents."""

_TIMES = tuple(timedelta(seconds=each) for each in SECONDS)
LEAST = _TIMES[0]
"""The bound of the first bucket of `Times`."""


class Counted(Protocol):
    """What has been counted."""

    @property
    def bounds(self) -> Sequence[float]:
        """Of its buckets: each takes what is not above its own; they grow, and one more takes the rest."""

    @property
    def counts(self) -> Sequence[int]:
        """How many each bucket has."""

    @property
    def sum(self) -> float:
        """Of all values."""


@final
class Times:
    """How long requests took, in the shape in which that costs least where it is counted; a `Counted` of seconds."""

    __slots__ = ("_more", "least", "total")

    bounds = SECONDS

    def __init__(self) -> None:
        self.least = 0
        """How many took no longer than `LEAST`."""
        self.total = timedelta()
        """That they took together."""
        self._more = [0] * len(SECONDS)  # how many the other buckets have

    def observe(self, took: timedelta) -> None:
        """Count one."""
        self.total += took
        if took <= LEAST:
            self.least += 1
        else:
            self.longer(took)

    def longer(self, took: timedelta) -> None:
        """Count one, but for its `total`, that took longer than `LEAST`."""
        self._more[bisect_left(_TIMES, took) - 1] += 1

    @property
    def counts(self) -> Sequence[int]:
        """See `Counted`."""
        return self.least, *self._more

    @property
    def sum(self) -> float:
        """See `Counted`."""
        return self.total.total_seconds()


@final
class Histogram:
    """See the module; a `Counted`.

    :param bounds: of its buckets.
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

    def add(self, other: Counted) -> None:
        """Count all that *other*, which has the same bounds, has counted."""
        self.counts = [one + another for one, another in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum
