"""What a flow tells of itself: its numbers, its access log, and the port for metrics alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..answer import Answer
from ..errors import ConfigurationError
from ..gateway.http.routes import without_routes
from ..gateway.served import Served
from ..interfaces import IDescribed, IEngine, IGateway, IListenAddress
from ..listen.addresses import port_address
from ..listen.hostport import is_loopback
from ..process.beat import Beat
from ..protocols import protocol_named
from ..record import Record
from ..telemetry.access_log import AccessLog
from ..telemetry.numbers import Numbers
from ..telemetry.settings import TelemetrySettings
from .banner import where

__all__ = ["Telling", "telemetry"]

log = Logger()


class Telling:
    """See the module.

    :param record: what gateways tell of each request.
    :param metrics: what answers ``/metrics``; None: nothing.
    :param access: the access log; None: there is none.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        record: Record,
        metrics: Callable[[str], Answer] | None,
        access: AccessLog | None,
        beat: Beat,
        clock: IReactorTime,
    ) -> None:
        self.clock = clock
        self._settings, self.record, self.metrics, self.access, self.beat = settings, record, metrics, access, beat
        self.address = self._address()
        """Of the port for metrics alone; None: there is none."""

    def _address(self) -> IListenAddress | None:
        port = self._settings.metrics_port
        return None if port is None else port_address(self._settings.metrics_host, port)

    def account(self) -> Callable[[], object]:
        """Begin the account of a stop.

        :return: logs it: what was answered since then, and since the start.
        """
        numbers, clock = self.record.numbers.all, self.clock
        (answered, refused), cut, since = numbers.answered(), numbers.cut, clock.seconds()

        def tell() -> None:
            total, all_refused = numbers.answered()
            log.info(
                "stopped in {seconds:.1f} s: {answered} requests answered, {cut} of them cut at the end of the grace, "
                "{refused} refused; since the start {total} answered, {all_refused} refused",
                seconds=clock.seconds() - since, answered=total - answered, cut=numbers.cut - cut,
                refused=all_refused - refused, total=total, all_refused=all_refused,
            )  # fmt: skip

        return tell

    def status(self, engines: Iterable[IEngine]) -> str:
        """The line that systemd shows of the service: each executor's state, where it runs, and how much is asked."""
        numbers = self.record.numbers.all
        answered, _ = numbers.answered()
        in_flight = sum(each.in_flight for each in numbers.requests.values())
        connected = sum(1 for protocols in numbers.connections for _ in protocols())
        states = [f"{each.name} {each.health} ({where(each)})" for each in engines]
        asked = f"{answered} requests answered, {in_flight} in flight, {connected} connections"
        return f"STATUS={', '.join([*states, asked])}"

    def reopen(self) -> None:
        """Write the access log to the file that has its name now."""
        if self.access is not None:
            self.access.reopen()

    def stop(self) -> None:
        """Write what was told, and count no more."""
        self.beat.stop()
        if self.access is not None:
            self.access.flush()

    def gateways(self, served: Served) -> list[IGateway]:
        """The gateway of the port for metrics alone, if there is one, for who serves *served* elsewhere. Whoever is on
        this machine may ask there; at other addresses callers are asked who they are, as everywhere.
        """
        if self._settings.metrics_port is None:
            return []
        address, self.address = self.address or self._address(), None
        guard = None if is_loopback(self._settings.metrics_host) else served.guard
        http = without_routes(served.http)
        return [
            protocol_named("http").make(
                replace(served, address=address, guard=guard, http=http, beside=None, metrics=self.metrics)
            )
        ]


def telemetry(
    settings: TelemetrySettings, numbers: Numbers, executors: Iterable[IDescribed], clock: IReactorTime
) -> Telling:
    """What *settings* ask for.

    :raises ConfigurationError: one line, where that cannot be.
    """
    if settings.metrics_port is not None and not settings.metrics:
        raise ConfigurationError("metrics_port= is for metrics, which are switched off")
    metrics, access = None, None
    if settings.metrics:
        from .metrics import exposition  # prometheus_client for those alone who want it

        metrics = exposition(numbers, executors)
    if settings.access_log:
        later: Any = clock.callLater
        access = AccessLog(settings.access_log, settings.access_log_format, later)
    record = Record(numbers.over("http"), "http", access)
    return Telling(settings, record, metrics, access, Beat(clock, numbers.lag.observe), clock)
