"""What a flow counts, as plain numbers: turned into metrics when somebody asks for those."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol, cast, final

from .histogram import DOCUMENTS, LAG, Histogram, Times

__all__ = ["OTHER", "ExecutorNumbers", "Numbers", "RequestNumbers", "Series", "Traffic"]

_MOST_FOUND, _SHORT = 200, 100  # names, from which on none is remembered that nobody has; and characters of each

OTHER = "other"
"""The endpoint of all requests to endpoints that nobody has: callers choose their names, but not how many there are."""


class _Route(Protocol):
    """What is counted of `Route`."""

    @property
    def pod_id(self) -> str:
        """The executor's, or the gateway's."""

    @property
    def start_time(self) -> datetime:
        """When it began."""

    @property
    def end_time(self) -> datetime:
        """When it was over."""


@final
class Series:
    """The requests to one endpoint over one protocol."""

    __slots__ = ("errors", "executors", "ok", "whole")

    def __init__(self, pods: Iterable[str]) -> None:
        self.ok = 0
        """Answered well."""
        self.errors: Counter[str] = Counter()
        """Answered by an error, by its name."""
        self.whole = Times()
        """That they took, from when they came in."""
        self.executors = {pod_id: Times() for pod_id in pods}
        """That each executor took for one, by its id: flows elsewhere have some of the same names."""


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
        self.found: dict[str, Series] = {}
        """By the names that are asked for: those that there are, and some that nobody has."""

    def of(self, endpoint: str) -> Series:
        """Those to *endpoint*."""
        found = self.found.get(endpoint)
        if found is not None:
            return found
        known = self.all.knows(endpoint)
        name = endpoint if known else OTHER
        found = self.series.get(name)
        if found is None:
            found = self.series[name] = Series(self.all.pods)
        if known or (len(self.found) < _MOST_FOUND and len(endpoint) < _SHORT):
            self.found[endpoint] = found
        return found

    def look_again(self) -> None:
        """There may be other endpoints now."""
        self.found.clear()

    def failed(self, endpoint: str, error: str, took: timedelta | None, routes: Iterable[_Route]) -> None:
        """Count one that was answered by *error*; *took* is how long that took, where it is known."""
        series = self.of(endpoint)
        series.errors[error] += 1
        if error == "Cancelled":
            self.all.cancelled += 1
        if took is not None:
            series.whole.observe(took)
        for route in routes:
            executor = series.executors.get(route.pod_id)
            if executor is not None:  # else it is one of a flow elsewhere
                executor.observe(route.end_time - route.start_time)

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
        self._known: Collection[str] | None = None  # None: nobody has looked yet
        self.requests: dict[str, RequestNumbers] = {}
        """By protocol."""
        self.executors: defaultdict[str, ExecutorNumbers] = defaultdict(ExecutorNumbers)
        """By name."""
        self.pods: dict[str, str] = {}
        """The names of executors by the ids that they have in routes."""
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
        if self._known is None:
            self.look_again()
        return endpoint in cast(Collection[str], self._known)

    def look_again(self) -> None:
        """Look which endpoints there are: flows elsewhere may have told of more."""
        self._known = frozenset(self._endpoints())
        for requests in self.requests.values():
            requests.look_again()

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
