"""What is counted of requests, by which endpoint and executor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from twisted_flow.document import DocumentArray
from twisted_flow.message import Header, Request, Response, Route
from twisted_flow.record import Record
from twisted_flow.telemetry.histogram import SECONDS, Histogram, Times
from twisted_flow.telemetry.numbers import OTHER, Numbers

NOW = datetime.now(UTC)


def answered(endpoint: str, *pods: str) -> Response:
    nothing = DocumentArray()
    request = Request(header=Header(endpoint), docs=nothing, groundtruths=nothing, parameters={}, request_id="r")
    return Response(
        request, nothing, nothing, [Route(pod, f"{pod}'s", NOW, NOW + timedelta(seconds=1)) for pod in pods]
    )


def counted(numbers: Numbers) -> dict[str, int]:
    return {endpoint: series.ok for endpoint, series in numbers.over("http").series.items()}


class TestEndpoints:
    def test_names_that_nobody_has(self) -> None:
        """However many callers think of, they are one; and neither many nor long ones are kept."""
        numbers = Numbers(lambda: ["/known"])
        record = Record(numbers.over("http"))
        for number in range(1000):
            record.answered(answered(f"/{number}", "gateway"), 1, None)
            record.answered(answered(f"/{number}" + "x" * 1000, "gateway"), 1, None)
        record.answered(answered("/known", "gateway"), 1, None)
        assert counted(numbers) == {OTHER: 2000, "/known": 1}
        assert len(numbers.over("http").found) <= 201

    def test_a_flow_elsewhere_tells_of_more(self) -> None:
        """From the next look on it is counted by itself."""
        known = ["/one"]
        numbers = Numbers(lambda: known)
        record = Record(numbers.over("http"))
        for _ in range(2):
            record.answered(answered("/two", "gateway"), 1, None)
        known.append("/two")
        numbers.look_again()
        record.answered(answered("/two", "gateway"), 1, None)
        assert counted(numbers) == {OTHER: 2, "/two": 1}


def test_executors_of_flows_elsewhere() -> None:
    """Their times are those of the executor here, which asks them, also where they are called as it is; so is their
    gateway's.
    """
    numbers = Numbers(lambda: ["/x"])
    numbers.pods["far's"] = "executor0"
    Record(numbers.over("http")).answered(answered("/x", "gateway", "gateway", "executor0", "far"), 1, None)
    series = numbers.over("http").series["/x"]
    assert {pod_id: sum(times.counts) for pod_id, times in series.executors.items()} == {"far's": 1}
    assert (sum(series.whole.counts), series.whole.sum) == (1, 1.0)


@given(st.lists(st.sampled_from([*SECONDS, 0.0, -1.0, 0.0011, 61.0, 1e6]) | st.floats(-1, 100)))
def test_times_are_a_histogram(seconds: list[float]) -> None:
    """In whichever shape they are counted: of whole microseconds, as the clock has them."""
    times, histogram = Times(), Histogram(SECONDS)
    for each in (timedelta(seconds=value) for value in seconds):
        times.observe(each)
        histogram.observe(each.total_seconds())
    assert list(times.counts) == histogram.counts
    assert abs(times.sum - histogram.sum) < 1e-3
    assert times.bounds == histogram.bounds
