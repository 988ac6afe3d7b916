"""What becomes of each request, told in one place to who counts it, and to who logs it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

from .errors import FlowError
from .message import Request, Route
from .security.guard import Caller
from .telemetry.access_log import AccessLog
from .telemetry.numbers import RequestNumbers

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def answered(
        self, request: Request, routes: Sequence[Route], documents: int, size: int, caller: Caller | None
    ) -> None:
        """*request* was answered well.

        :param routes: the gateway's own first: it says how long it took.
        :param documents: of the answer.
        :param size: its bytes.
        """
        seconds = self.numbers.answered(request.header.exec_endpoint, routes)
        if self._access is not None:
            self._access.write(
                self._protocol, caller, request.header.exec_endpoint, request.request_id, request.traceparent,
                documents, "ok", seconds, size,
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
        seconds = None if started is None else (datetime.now(UTC) - started).total_seconds()
        endpoint = trace = ""
        if request is None:
            self.numbers.refused(error.name)
        else:
            endpoint, trace = request.header.exec_endpoint, request.traceparent
            self.numbers.failed(endpoint, error.name, seconds, error.routes)
        if self._access is not None:
            self._access.write(self._protocol, caller, endpoint, request_id, trace, 0, error.name, seconds, 0)
