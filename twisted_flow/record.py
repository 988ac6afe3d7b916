"""What becomes of each request, told in one place to who counts it, and to who logs it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import final

from .errors import FlowError
from .message import Request, Response
from .security.guard import Caller
from .telemetry.access_log import AccessLog
from .telemetry.histogram import LEAST, Times
from .telemetry.numbers import RequestNumbers

__all__ = ["Record"]


@final
class Record:
    """See the module; of one protocol.

    :param numbers: counts it.
    :param protocol: of the gateway.
    :param access: logs it; None: nobody does.
    """

    __slots__ = ("_access", "_protocol", "numbers")

    def __init__(self, numbers: RequestNumbers, protocol: str = "", access: AccessLog | None = None) -> None:
        self.numbers, self._protocol, self._access = numbers, protocol, access

    @property
    def logged(self) -> bool:
        """Whether it is logged."""
        return self._access is not None

    def over(self, protocol: str) -> Record:
        """The same of another protocol."""
        return Record(self.numbers.all.over(protocol), protocol, self._access)

    def answered(self, response: Response, size: int, caller: Caller | None, documents: int | None = None) -> None:
        """A request was answered well, by *response*.

        Counted without calls: this is on the way of each request.

        :param size: its bytes.
        :param documents: of the answer, where that came in parts.
        """
        request, numbers = response.request, self.numbers
        series = numbers.found.get(request.header.exec_endpoint) or numbers.of(request.header.exec_endpoint)
        series.ok += 1
        times: Times | None = series.whole  # the first route is the gateway's
        for route in response.routes:
            if times is None:
                times = series.executors.get(route.pod_id)
                if times is None:  # it is one of a flow elsewhere
                    continue
            took = route.end_time - route.start_time
            times.total += took
            if took <= LEAST:
                times.least += 1
            else:
                times.longer(took)
            times = None
        if self._access is not None:
            own = response.routes[0]
            self._access.write(
                self._protocol, caller, request.header.exec_endpoint, request.request_id, request.traceparent,
                len(response.docs) if documents is None else documents,
                "ok", (own.end_time - own.start_time).total_seconds(), size,
            )  # fmt: skip

    def failed(
        self,
        error: FlowError,
        request: Request | None,
        request_id: str,
        caller: Caller | None,
        started: datetime | None,
    ) -> None:
        """*request* was answered by *error*; None: it never became one."""
        took = None if started is None else datetime.now(UTC) - started
        endpoint = trace = ""
        if request is None:
            self.numbers.refused(error.name)
        else:
            endpoint, trace = request.header.exec_endpoint, request.traceparent
            self.numbers.failed(endpoint, error.name, took, error.routes)
        if self._access is not None:
            seconds = None if took is None else took.total_seconds()
            self._access.write(self._protocol, caller, endpoint, request_id, trace, 0, error.name, seconds, 0)
