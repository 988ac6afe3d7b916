"""Retries, over a clock of our own."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from tests.streams import Streaming, texts
from tests.support import Held, asking, request, result_of
from twisted_flow import Document, DocumentArray
from twisted_flow.errors import ExecutorError, FlowError, QueueFull, Reject, Unavailable
from twisted_flow.executor.table import Endpoint
from twisted_flow.feed import Feed
from twisted_flow.message import Response, copy_of
from twisted_flow.policy.retry import Retry

ENDPOINTS = {
    "/again": Endpoint("/again", "f", ("docs",), blocking=True, idempotent=True),
    "/once": Endpoint("/once", "g", ("docs",), blocking=True),
    "/hears": Endpoint("/hears", "h", ("docs",), blocking=False, idempotent=True, takes_parts=True),
}


class Now:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self) -> float:
        return self.clock.seconds()


def retry(inner: Any, retries: int = 3, chance: float = 0.0) -> tuple[Any, Clock]:
    """A policy whose jitter is *chance*, and its clock."""
    clock = Clock()
    return Retry(inner, ENDPOINTS, retries, clock, lambda: chance, Now(clock)), clock  # type: ignore[arg-type]


def ask(policy: Any, *words: str, endpoint: str = "/again", **fields: Any) -> Any:
    return asking(policy, request(*map(Document, words), endpoint=endpoint, **fields))


class TestRepeats:
    def test_on_the_documents_as_they_were(self) -> None:
        """A call that failed is repeated with what it was given, however much the failed one has changed."""
        held = Held()
        policy, clock = retry(held)
        answer = ask(policy, "a", parameters={"x": [1]})
        for attempt in range(3):
            sent = held.requests[attempt]
            assert texts(sent.docs) == ["a"]
            assert sent.parameters == {"x": [1]}
            sent.docs[0].text = "spoilt"
            sent.parameters["x"].append(2)
            sent.docs.append(Document())
            held.fail(Unavailable("gone"), attempt)
            clock.advance(10)
        held.release(3)
        assert texts(result_of(answer).docs) == ["a"]
        assert clock.getDelayedCalls() == []

    @pytest.mark.parametrize(("endpoint", "calls"), [("/hears", 1), ("/again", 2)])
    def test_requests_in_parts(self, endpoint: str, calls: int) -> None:
        """What a method has taken as it came cannot be sent again; what was collected can."""
        held = Held()
        policy, clock = retry(held)
        feed = Feed(lambda taken: None, lambda: None)
        answer = ask(policy, "a", endpoint=endpoint, parts=feed.parts)
        feed.put(DocumentArray([Document("b")]))
        feed.end()
        assert (held.requests[0].parts is not None) == (endpoint == "/hears")
        held.fail(Unavailable("gone"))
        clock.advance(10)
        assert len(held.requests) == calls
        if calls == 2:
            assert texts(held.requests[1].docs) == ["a", "b"]
            held.release(1)
        answer.addErrback(lambda failure: failure.trap(Unavailable) and None)

    @pytest.mark.parametrize("chance", [0.0, 1.0])
    def test_back_off(self, chance: float) -> None:
        """0.1 s, then twice as long each time, to 5 s at most; jitter takes up to half of it."""
        held = Held()
        policy, clock = retry(held, 9, chance)
        answer = ask(policy)
        for attempt, wait in enumerate([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]):
            wait *= 1 - chance / 2
            held.fail(Unavailable(str(attempt)), attempt)
            clock.advance(wait - 0.001)
            assert len(held.requests) == attempt + 1
            clock.advance(0.002)
            assert len(held.requests) == attempt + 2
        assert not answer.called
        held.fail(Unavailable("the last"), 9)
        assert result_of(answer).value.detail == "the last"

    def test_retry_after(self) -> None:
        """Who fails may say how long to wait at least."""
        held = Held()
        policy, clock = retry(held)
        ask(policy)
        held.fail(Unavailable("busy", retry_after=3))
        clock.advance(2.9)
        assert len(held.requests) == 1
        clock.advance(0.2)
        assert len(held.requests) == 2

    def test_failing_at_once(self) -> None:
        """What fails at once, and what is answered at once, is repeated alike."""
        left = [Unavailable("1"), Unavailable("2")]

        class Fails(Held):
            def dispatch(self, request: Any) -> Any:
                self.requests.append(request)
                if left:
                    raise left.pop()
                return Response(request, request.docs, DocumentArray(), [])

        policy, clock = retry(Fails())
        answer = ask(policy, "a")
        clock.advance(1)
        clock.advance(1)
        assert texts(result_of(answer).docs) == ["a"]

    @pytest.mark.parametrize("error", [ExecutorError("x"), QueueFull("x"), Unavailable("x", retryable=False)])
    def test_not_repeated(self, error: FlowError) -> None:
        """What another attempt would not help, and a full queue, is told at once."""
        held = Held()
        policy, clock = retry(held)
        answer = ask(policy)
        held.fail(error)
        assert result_of(answer).value is error
        assert clock.getDelayedCalls() == []

    def test_rejected(self) -> None:
        """A method says by its error that another attempt may help."""
        held = Held()
        policy, clock = retry(held)
        ask(policy)
        held.fail(Reject("Conflict", "busy", retryable=True).error)
        clock.advance(1)
        assert len(held.requests) == 2

    def test_other_endpoints(self) -> None:
        """Of what may not be called again, and of what there is not, nothing is copied, and nothing repeated."""
        for endpoint in ("/once", "/nothing"):
            held = Held()
            policy, _ = retry(held)
            asked = request(Document(), endpoint=endpoint)
            answer = asking(policy, asked)
            assert held.requests[0] is asked
            held.fail(Unavailable("x"))
            assert isinstance(result_of(answer).value, Unavailable)

    def test_deadline(self) -> None:
        """An attempt that could not begin in time is not waited for: the last error is told at once."""
        held = Held()
        policy, clock = retry(held)
        answer = ask(policy, deadline=0.25)
        held.fail(Unavailable("1"), 0)
        clock.advance(0.1)
        held.fail(Unavailable("2"), 1)
        assert result_of(answer).value.detail == "2"
        assert time.monotonic() > 0.25  # the clock is the policy's

    def test_crash(self) -> None:
        """What a process has ended over is repeated once: it may be what ends it."""
        held = Held()
        policy, clock = retry(held)
        answer = ask(policy)
        for attempt in range(2):
            error = Unavailable("crashed")
            error.crashed = True
            held.fail(error, attempt)
            clock.advance(1)
        assert len(held.requests) == 2
        assert result_of(answer).value.detail == "crashed"

    def test_cancelling(self) -> None:
        """Whoever gives it up ends the attempt, or the wait for the next one."""
        held = Held()
        policy, clock = retry(held)
        answer = ask(policy)
        answer.cancel()
        assert isinstance(result_of(answer).value, CancelledError)
        assert held.cancelled == 1
        answer = ask(policy)
        held.fail(Unavailable("x"), 1)
        answer.cancel()
        assert isinstance(result_of(answer).value, CancelledError)
        assert clock.getDelayedCalls() == []
        assert len(held.requests) == 2


class TestStreams:
    def test_before_the_first_part(self) -> None:
        """A stream that fails before its first part is begun anew."""
        sources = [Streaming(Unavailable("x")), Streaming("a", "b")]

        class Next(Held):
            def dispatch(self, request: Any) -> Any:
                return sources.pop(0).dispatch(request)

        policy, clock = retry(Next())
        answer = ask(policy)
        clock.advance(1)
        stream = result_of(answer)
        assert [texts(stream.parts.pull()) for _ in range(2)] == [["a"], ["b"]]
        assert stream.parts.pull() is None

    def test_after_it(self) -> None:
        """From the first part on nothing is repeated."""
        policy, clock = retry(Streaming("a", Unavailable("x")))
        stream = result_of(ask(policy))
        assert texts(stream.parts.pull()) == ["a"]
        with pytest.raises(Unavailable):
            stream.parts.pull()
        assert clock.getDelayedCalls() == []


def test_copies() -> None:
    """A copy of a request has all its fields; what can be changed in place is its own."""
    whole = request(
        Document("a"),
        groundtruths=DocumentArray([Document("b")]),
        parameters={"x": [1]},
        docs_matrix=[DocumentArray([Document("c")])],
        groundtruths_matrix=[DocumentArray([Document("d")])],
        deadline=5.0,
        principal="p",
        timeout=3.0,
        arrays="list",
    )
    twin = copy_of(whole)
    for name in whole.__struct_fields__:
        given, copied = getattr(whole, name), getattr(twin, name)
        assert repr(given) == repr(copied), name
        mutable = isinstance(given, list | dict)
        assert (given is not copied) == mutable, name
    assert twin.docs[0] is not whole.docs[0]
    assert twin.parameters["x"] is not whole.parameters["x"]
    odd = {"lock": threading.Lock()}  # of an executor
    assert copy_of(request(parameters=odd)).parameters == odd
