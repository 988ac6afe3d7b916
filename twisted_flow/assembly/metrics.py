"""A flow's numbers as Prometheus asks for them: prometheus_client's families, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ..answer import Answer
from ..interfaces import IDescribed
from ..telemetry.histogram import Counted, Histogram
from ..telemetry.numbers import Numbers

__all__ = ["NAMES", "exposition"]

NAMES = {
    "twisted_flow_requests": "Requests, by how they were answered: ok, or the name of the error.",
    "twisted_flow_request_seconds": "Seconds from when a request came in until it was answered.",
    "twisted_flow_in_flight": "Requests that are under way.",
    "twisted_flow_executor_seconds": "Seconds that an executor took for a request.",
    "twisted_flow_queue_length": "Requests that wait for an executor.",
    "twisted_flow_queue_seconds": "Seconds that requests waited for an executor, of those that had to.",
    "twisted_flow_batch_documents": "Documents of calls that requests share.",
    "twisted_flow_first_part_seconds": "Seconds until the first part of an answer that came in parts.",
    "twisted_flow_cancelled": "Requests whose callers went away, or cancelled them.",
    "twisted_flow_refused": "What was refused before it became a request, by the name of the error.",
    "twisted_flow_restarts": "Crashes of an executor's own processes, which were started again.",
    "twisted_flow_connections": "Open connections.",
    "twisted_flow_received_bytes": "Bytes received, within TLS where there is some.",
    "twisted_flow_sent_bytes": "Bytes sent, within TLS where there is some.",
    "twisted_flow_loop_lag_seconds": "Seconds by which the event loop was late.",
}
"""Every metric, and what it is; counters have ``_total`` behind that."""

_PROTOCOLS = ("grpc", "http", "websocket")


def exposition(numbers: Numbers, executors: Iterable[IDescribed]) -> Callable[[str], Answer]:
    """What answers ``/metrics``, from what is asked for by Accept.

    :param executors: whose queues and restarts are told.
    """
    registry = CollectorRegistry()
    registry.register(_Flow(numbers, tuple(executors)))
    for made in (ProcessCollector, PlatformCollector, GCCollector):
        made(registry=registry)

    def answer(accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return Answer(encode(registry), content_type)

    return answer


class _Flow(Collector):
    """The families of one flow."""

    def __init__(self, numbers: Numbers, executors: Sequence[IDescribed]) -> None:
        self._numbers, self._executors = numbers, executors

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        numbers = self._numbers
        numbers.look_again()
        yield from self._requests()
        yield from self._of_executors()
        yield _histogram("first_part_seconds", (), {(): numbers.first_part})
        yield _counter("cancelled", (), {(): numbers.cancelled})
        yield _counter("refused", ("reason",), {(name,): number for name, number in numbers.refused.items()})
        open_now = dict.fromkeys(((protocol,) for protocol in _PROTOCOLS), 0)
        for protocols in numbers.connections:
            for protocol in protocols():
                if protocol:
                    open_now[(protocol,)] = open_now.get((protocol,), 0) + 1
        yield _gauge("connections", ("protocol",), open_now)
        yield _counter("received_bytes", (), {(): numbers.traffic.received})
        yield _counter("sent_bytes", (), {(): numbers.traffic.sent})
        yield _histogram("loop_lag_seconds", (), {(): numbers.lag})

    def _requests(self) -> Iterator[Metric]:
        answered: dict[tuple[str, ...], float] = {}
        seconds: dict[tuple[str, ...], Counted] = {}
        took: dict[tuple[str, ...], Histogram] = {}
        in_flight: dict[tuple[str, ...], float] = {}
        for protocol, requests in list(self._numbers.requests.items()):
            in_flight[(protocol,)] = requests.in_flight
            for endpoint, series in list(requests.series.items()):
                answered[(protocol, endpoint, "ok")] = series.ok
                for error, number in series.errors.items():
                    answered[(protocol, endpoint, error)] = number
                seconds[(protocol, endpoint)] = series.whole
                for pod_id, times in series.executors.items():
                    if any(times.counts):
                        took.setdefault((self._numbers.pods[pod_id], endpoint), Histogram()).add(times)
        yield _counter("requests", ("protocol", "endpoint", "status"), answered)
        yield _histogram("request_seconds", ("protocol", "endpoint"), seconds)
        yield _gauge("in_flight", ("protocol",), in_flight)
        yield _histogram("executor_seconds", ("executor", "endpoint"), took)

    def _of_executors(self) -> Iterator[Metric]:
        own = self._numbers.executors
        described = {each.name: each.describe() for each in self._executors}
        lengths = {(name,): float(each.queued()) for name, each in own.items()}
        yield _gauge("queue_length", ("executor",), lengths)
        yield _histogram("queue_seconds", ("executor",), {(name,): each.queue_seconds for name, each in own.items()})
        shared = {(name,): each.batch_documents for name, each in own.items() if "batches" in described.get(name, {})}
        yield _histogram("batch_documents", ("executor",), shared)
        yield _counter("restarts", ("executor",), {(name,): _restarts(told) for name, told in described.items()})


def _restarts(told: Mapping[str, Any]) -> int:
    """The crashes of an executor, of which *told* is what `IDescribed` tells, with its copies within."""
    inner = [each for key in ("copies", "shards") for each in _list(told.get(key))]
    return int(told.get("restarts", 0)) + sum(map(_restarts, inner))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _numbers(kind: Any, name: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    name = f"twisted_flow_{name}"
    family: Metric = kind(name, NAMES[name], labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)  # type: ignore[attr-defined]
    return family


_counter, _gauge = partial(_numbers, CounterMetricFamily), partial(_numbers, GaugeMetricFamily)


def _histogram(name: str, labels: Sequence[str], values: Mapping[Any, Counted]) -> Metric:
    name = f"twisted_flow_{name}"
    family = HistogramMetricFamily(name, NAMES[name], labels=labels)
    for label, histogram in values.items():
        total, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric(label, buckets, histogram.sum)
    return family
