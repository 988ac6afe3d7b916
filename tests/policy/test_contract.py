"""What holds for every policy, and whatever else wraps a dispatcher: over all kinds of answers, and the direct way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.streams import Streaming, texts
from tests.support import Dispatcher, Held, request, result_of
from twisted_flow.errors import DeadlineExceeded, NotFound, QueueFull
from twisted_flow.executor.batching import Batching
from twisted_flow.executor.table import Endpoint
from twisted_flow.generation import Generation
from twisted_flow.graph.current import Current
from twisted_flow.graph.dispatch import FlowDispatcher
from twisted_flow.graph.node import Node
from twisted_flow.interfaces import IChanging, IDirect, IDispatcher
from twisted_flow.limits import Limits
from twisted_flow.message import Response, ResponseStream
from twisted_flow.policy.admission import Admission
from twisted_flow.policy.batch import Batch
from twisted_flow.policy.deadline import Deadline
from twisted_flow.policy.retry import Retry
from twisted_flow.policy.streams import Streams

ENDPOINTS = {
    "/default": Endpoint("/default", "f", ("docs",), blocking=False, idempotent=True),
    "/batched": Endpoint("/batched", "f", ("docs",), blocking=False),
}


def _flow(inner: Any) -> Any:
    return FlowDispatcher([Node("n", ENDPOINTS, inner)])


def _fork(inner: Any) -> Any:
    from twisted_flow.graph.graph import NodeConfig

    graph = [NodeConfig("n", None, needs=("gateway",)), NodeConfig("m", None, needs=("gateway",))]
    nodes = [Node("n", ENDPOINTS, inner), Node("m", ENDPOINTS, Dispatcher())]
    return FlowDispatcher(nodes, [*graph, NodeConfig("end", None, needs=("n", "m"))])


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "admission": lambda inner: Admission(inner, 10),
    "deadline": lambda inner: Deadline(inner, 5, Clock()),  # type: ignore[arg-type]
    "retry": lambda inner: Retry(inner, ENDPOINTS, 3, Clock()),  # type: ignore[arg-type]
    "batch": lambda inner: Batch(inner, {"/batched": Batching(9)}, Clock()),  # type: ignore[arg-type]
    "streams": lambda inner: Streams(inner, Limits(first_part_timeout=9, part_timeout=9), Clock()),  # type: ignore[arg-type]
    "current": Current,
    "flow": _flow,
    "fork": _fork,
    "all": lambda inner: Current(Deadline(_flow(Admission(inner, 10)), 5, Clock())),  # type: ignore[arg-type]
}


@pytest.fixture(params=sorted(WRAPPERS))
def wrap(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Wraps what an engine may be."""

    def wrapped(inner: Any) -> Any:
        inner.name, inner.window, inner.endpoints = "e", 10, ENDPOINTS
        inner.start = inner.stop = inner.check = None
        return WRAPPERS[request.param](inner)

    return wrapped


def whole(outcome: Any) -> Any:
    """The response that *outcome* comes to, all of whose parts are there."""
    from twisted_flow.outcome import collected

    outcome = collected(outcome)
    return outcome if type(outcome) is Response else result_of(outcome)


class TestAnswers:
    def test_interface(self, wrap: Any) -> None:
        """It is a dispatcher."""
        assert verifyObject(IDispatcher, wrap(Dispatcher()))

    def test_at_once(self, wrap: Any) -> None:
        """An answer that is there at once is there at once."""
        assert type(wrap(Dispatcher()).dispatch(request())) is Response

    def test_later(self, wrap: Any) -> None:
        """One that comes later comes later."""
        held = Held()
        answer = wrap(held).dispatch(request())
        held.release()
        assert type(result_of(answer)) is Response

    def test_failures(self, wrap: Any) -> None:
        """A failure is handed on, at once or later."""

        def fail(_: Any) -> None:
            raise NotFound("x")

        with pytest.raises(NotFound):
            wrap(Dispatcher(fail)).dispatch(request())
        held = Held()
        answer = wrap(held).dispatch(request())
        held.fail(NotFound("x"))
        assert isinstance(result_of(answer).value, NotFound)

    def test_cancelling(self, wrap: Any) -> None:
        """Cancelling reaches the work."""
        held = Held()
        answer = wrap(held).dispatch(request())
        answer.cancel()
        assert held.cancelled == 1
        assert isinstance(result_of(answer).value, CancelledError)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
class TestStreams:
    def stream(self, wrap: Any, source: Streaming) -> Any:
        outcome = wrap(source).dispatch(request())
        if source.later:
            source.come()
        return outcome

    def test_to_the_end(self, wrap: Any, later: bool) -> None:
        """All parts arrive, in their order, with the routes of all that they came by."""
        response = whole(self.stream(wrap, Streaming("a", "b", later=later)))
        assert {"a", "b"} <= set(texts(response.docs))
        assert response.routes[0].pod == "inner"
        assert response.request_id == "r1"

    def test_failure(self, wrap: Any, later: bool) -> None:
        """A part that fails fails the answer with the same error."""
        try:
            failed = result_of(
                Deferred.fromCoroutine(_whole(self.stream(wrap, Streaming("a", NotFound("x"), later=later))))
            )
            error = failed.value
        except NotFound as raised:
            error = raised
        assert isinstance(error, NotFound)

    def test_cancelling(self, wrap: Any, later: bool) -> None:
        """Whoever gives it up ends the work, whether a part is awaited or not."""
        source = Streaming("a", "later", later=later)
        outcome = self.stream(wrap, source)
        stream = outcome if type(outcome) is ResponseStream else None
        if stream is None and not isinstance(outcome, Response):
            found: list[Any] = []
            outcome.addBoth(found.append)
            stream = found[0] if found else None
        if stream is None:
            outcome.cancel()  # it is collected
        else:
            stream.parts.pull()
            stream.parts.cancel()
        assert source.cancelled == 1


async def _whole(outcome: Any) -> Any:
    from twisted_flow.outcome import collected

    outcome = collected(outcome)
    return outcome if type(outcome) is Response else await outcome


class TestHeldForAStream:
    def test_admission(self) -> None:
        """A stream takes room in the window until it is there; then its engine takes its steps in their turn."""
        source: Any = Streaming("a", later=True)
        source.name, source.window = "e", 1
        admission: Any = Admission(source, 1)
        first = admission.dispatch(request())
        waiting = admission.dispatch(request())
        with pytest.raises(QueueFull):
            admission.dispatch(request())
        source.coming[0].callback(source.streams[0])
        assert not result_of(first).parts.over
        assert len(source.coming) == 2
        source.coming[1].callback(source.streams[1])
        assert texts(result_of(waiting).parts.pull()) == ["a"]

    @pytest.mark.parametrize("awaited", [False, True])
    def test_deadline(self, awaited: bool) -> None:
        """A stream that is not over in time is cancelled, and who pulls is told so; one that is leaves no alarm."""
        clock = Clock()
        source = Streaming("a", "later")
        stream: Any = Deadline(source, 5, clock).dispatch(request())  # type: ignore[arg-type]
        assert texts(stream.parts.pull()) == ["a"]
        part = stream.parts.pull() if awaited else None
        clock.advance(5)
        assert source.cancelled == 1
        if part is not None:
            assert isinstance(result_of(part).value, DeadlineExceeded)
        else:
            with pytest.raises(DeadlineExceeded):
                stream.parts.pull()
        assert stream.parts.over
        in_time: Any = Deadline(Streaming("a"), 5, clock).dispatch(request())  # type: ignore[arg-type]
        whole(in_time)
        assert clock.getDelayedCalls() == []


@implementer(IDispatcher, IDirect)
class Direct(Dispatcher):
    """Says how its endpoint is answered at once."""

    window, name = 10, "e"

    def __init__(self) -> None:
        super().__init__()
        self.generation = Generation()
        self.watch = self.generation.watch
        self.mark = "1"
        self.found = 0

    def direct(self, endpoint: str) -> Any:
        self.found += 1
        mark = self.mark

        async def call(asked: Any, context: None) -> None:
            for document in asked.docs:
                document.text = mark

        return call


@implementer(IDispatcher, IDirect)
class Counting:
    """A policy that takes part in the direct way."""

    def __init__(self, inner: Direct) -> None:
        self.inner, self.calls = inner, 0
        self.watch = inner.watch

    def dispatch(self, request: Any) -> Any:
        self.calls += 1
        return self.inner.dispatch(request)

    def direct(self, endpoint: str) -> Any:
        return self.around(self.inner.direct(endpoint))

    def around(self, call: Any) -> Any:
        async def counted(asked: Any, context: None) -> Any:
            self.calls += 1
            return await call(asked, context)

        return counted


@implementer(IDispatcher)
class Blind:
    """One that does not, and sees every request therefore."""

    def __init__(self, inner: Direct) -> None:
        self.inner, self.calls = inner, 0

    def dispatch(self, request: Any) -> Any:
        self.calls += 1
        return self.inner.dispatch(request)


class TestDirect:
    def test_every_policy_sees_every_request(self) -> None:
        """One that can take part wraps the call; one that cannot switches the direct way off for its executor."""
        for policy in (Counting(Direct()), Blind(Direct())):
            flow = FlowDispatcher([Node("n", ENDPOINTS, policy)])
            for _ in range(3):
                assert type(flow.dispatch(request())) is Response
            assert policy.calls == 3

    def test_a_generation(self) -> None:
        """What is found out is found out once, and anew when the generation has ended."""
        from twisted_flow.document import Document

        direct = Direct()
        flow: Any = FlowDispatcher([Node("n", ENDPOINTS, Admission(direct, 1))])  # type: ignore[arg-type]
        for mark in ("1", "1", "2"):
            if direct.mark != mark:
                direct.mark = mark
                direct.generation.end()
            assert texts(flow.dispatch(request(Document("x"))).docs) == [mark]
        assert direct.found == 2

    def test_current(self) -> None:
        """Another flow takes the place of the one that is served; who remembers something of the old one is told."""
        first, second, forgotten = Dispatcher(), Dispatcher(), []
        current = Current(first)
        assert verifyObject(IChanging, current)
        end = current.watch(lambda: forgotten.append(1))
        current.dispatch(request())
        current.exchange(second)
        current.dispatch(request())
        assert (len(first.requests), len(second.requests), forgotten) == (1, 1, [1])
        end()
        current.exchange(first)
        assert forgotten == [1]
