"""What a flow counts, as plain numbers: turned into metrics when somebody asks for those."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from time import monotonic
from typing import Protocol, final

from .histogram import DOCUMENTS, LAG, SECONDS, Histogram

__all__ = ["OTHER", "ExecutorNumbers", "Numbers", "RequestNumbers", "Series", "Traffic"]

_OFTEN = 1.0  # seconds

OTHER = "other"
"""The endpoint of all requests to endpoints that nobody has: callers choose their names, but not how many there are."""


class _Route(Protocol):
    """What is counted of `Route`."""

    @property
    def pod(self) -> str:
        """The executor's name, or 'gateway'."""

    @property
    def start_time(self) -> datetime:
        """When it began."""

    @property
    def end_time(self) -> datetime:
        """When it was over."""


@final
class Series:
    """The requests to one endpoint over one protocol."""

    __slots__ = ("errors", "executors", "ok", "seconds")

    def __init__(self) -> None:
        self.ok = 0
        """Answered well."""
        self.errors: Counter[str] = Counter()
        """Answered by an error, by its name."""
        self.seconds = Histogram()
        """That they took, from when they came in."""
        self.executors: dict[str, Histogram] = {}
        """Seconds that each executor took for one."""

    def of_executor(self, name: str) -> Histogram:
        """Those of the executor called *name*."""
        return self.executors.setdefault(name, Histogram())


class RequestNumbers:
    """The requests over one protocol.

    :param numbers: the flow's.
    """

    def __init__(self, numbers: Numbers) -> None:
        self.all = numbers
        """The flow's."""
        self.series: dict[str, Series] = {}
        """By endpoint."""
        self.in_flight = 0
        """Those that are begun and not answered, but for what is answered at once."""

    def of(self, endpoint: str) -> Series:
        """Those to *endpoint*."""
        if not self.all.knows(endpoint):
            endpoint = OTHER
        found = self.series.get(endpoint)
        if found is None:
            found = self.series[endpoint] = Series()
        return found

    def answered(self, endpoint: str, routes: Sequence[_Route]) -> float:
        """Count a request that was answered well.

        :param routes: of the gateway, which says how long it took, and of the executors that it came by.
        :return: the seconds that it took.
        """
        series = self.series.get(endpoint) or self.of(endpoint)
        series.ok += 1
        own = routes[0]
        seconds = (own.end_time - own.start_time).total_seconds()
        times = series.seconds  # counted without a call: this is on the way of each request
        times.counts[bisect_left(SECONDS, seconds)] += 1
        times.sum += seconds
        for route in routes[1:]:
            times = series.executors.get(route.pod) or series.of_executor(route.pod)
            took = (route.end_time - route.start_time).total_seconds()
            times.counts[bisect_left(SECONDS, took)] += 1
            times.sum += took
        return seconds

    def failed(self, endpoint: str, error: str, seconds: float | None, routes: Iterable[_Route]) -> None:
        """Count one that was answered by *error*; after *seconds*, where that is known."""
        series = self.of(endpoint)
        series.errors[error] += 1
        if error == "Cancelled":
            self.all.cancelled += 1
        if seconds is not None:
            series.seconds.observe(seconds)
        for route in routes:
            series.of_executor(route.pod).observe((route.end_time - route.start_time).total_seconds())

    def first_part(self, seconds: float) -> None:
        """Count the first part of an answer, which was there after *seconds*."""
        self.all.first_part.observe(seconds)

    def refused(self, error: str) -> None:
        """Count what never became a request, because of *error*."""
        self.all.refused[error] += 1


@final
class ExecutorNumbers:
    """Those of one executor, which its policies keep."""

    def __init__(self) -> None:
        self.queue_seconds = Histogram()
        """That requests have waited for it, of those that had to."""
        self.batch_documents = Histogram(DOCUMENTS)
        """Documents of calls that requests share."""
        self.queued: Callable[[], int] = int
        """How many requests wait for it."""


@final
class Traffic:
    """Bytes that came and went, within TLS where there is some."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = self.sent = 0


class Numbers:
    """See the module.

    :param endpoints: tells the endpoints that there are.
    """

    def __init__(self, endpoints: Callable[[], Collection[str]] = tuple) -> None:
        self._endpoints = endpoints
        self._known: Collection[str] = ()
        self._look_again = 0.0  # when flows elsewhere may have told of more
        self.requests: dict[str, RequestNumbers] = {}
        """By protocol."""
        self.executors: dict[str, ExecutorNumbers] = {}
        """By name."""
        self.refused: Counter[str] = Counter()
        """What never became a request, by the error's name."""
        self.cancelled = 0
        """Requests whose callers have gone, or wanted them no more."""
        self.cut = 0
        """Requests that the end of the server's grace has cut."""
        self.first_part = Histogram()
        """Seconds to the first part of answers that came in parts."""
        self.lag = Histogram(LAG)
        """Seconds by which the event loop was late."""
        self.traffic = Traffic()
        self.connections: list[Callable[[], Iterable[str]]] = []
        """Each tells the protocol of each of its connections."""

    def knows(self, endpoint: str) -> bool:
        """Whether *endpoint* is counted by itself."""
        if endpoint in self._known:
            return True
        now = monotonic()
        if now < self._look_again:
            return False
        self._known, self._look_again = frozenset(self._endpoints()), now + _OFTEN
        return endpoint in self._known

    def answered(self) -> tuple[int, int]:
        """How many requests were answered, by an error or not; and how much was refused before it became one."""
        series = [each for requests in self.requests.values() for each in requests.series.values()]
        return sum(each.ok + each.errors.total() for each in series), self.refused.total()

    def over(self, protocol: str) -> RequestNumbers:
        """The requests over *protocol*."""
        found = self.requests.get(protocol)
        if found is None:
            found = self.requests[protocol] = RequestNumbers(self)
        return found
