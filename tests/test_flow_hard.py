"""What executors do that nobody thought of: every request is answered all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.task import deferLater

from tests.support import TIMEOUT, Own, wait_for
from twisted_flow import Document, DocumentArray, Executor, Flow, requests
from twisted_flow.assembly.wiring import make_service
from twisted_flow.errors import DeadlineExceeded, ExecutorError


class Careless(Executor):
    """Leaves what cannot travel."""

    @requests(on="/text")
    async def text(self, docs: Any) -> None:
        docs.append("hello")

    @requests(on="/none")
    def none(self, docs: Any) -> None:
        docs.append(None)

    @requests(on="/parameters")
    async def parameters(self, parameters: Any) -> None:
        parameters["x"] = object()

    @requests(on="/tags")
    def tags(self, docs: Any) -> None:
        docs[0].tags["x"] = object()

    @requests(on="/good")
    async def good(self) -> None:
        pass

    @requests(on="/chained")
    def chained(self, docs: DocumentArray) -> Deferred[None]:
        return succeed(None).addCallback(lambda _: deferLater(reactor, 20, lambda: None))  # type: ignore[arg-type]

    @requests(on="/semaphore")
    def semaphore(self, docs: DocumentArray) -> Deferred[None]:
        return DeferredSemaphore(1).run(deferLater, reactor, 20, lambda: None)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["http", "websocket", "grpc"])
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    with Flow(protocol=request.param, host="127.0.0.1").add(Careless) as built:
        yield built


@pytest.mark.parametrize("endpoint", ["/text", "/none", "/parameters", "/tags"])
def test_what_cannot_travel(flow: Flow, endpoint: str) -> None:
    """It is the executor's error; the connection lives on."""
    with pytest.raises(ExecutorError):
        flow.post(endpoint, Document("x"), timeout=TIMEOUT)
    assert len(flow.post("/good", Document("x"), return_results=True)) == 1


@pytest.mark.parametrize("endpoint", ["/chained", "/semaphore"])
def test_deferreds_that_wait_for_others(flow: Flow, endpoint: str) -> None:
    """A Deferred that has fired, and waits for another, is not done: its time runs out like any other's."""
    with pytest.raises(DeadlineExceeded):
        flow.post(endpoint, Document("x"), timeout=0.05)


def test_executor_of_ones_own() -> None:
    """What provides `IExecutor` is called, whatever its name is."""
    with Flow(protocol="http", host="127.0.0.1").add(Own()).add(Own()) as flow:
        assert flow.post("/", "x", return_results=True)[0].docs.texts == ["own"]


def test_all_arguments() -> None:
    """An endpoint that names everything gets the branches apart, and joined."""

    def rank(docs: Any, docs_matrix: Any, groundtruths: Any, **kwargs: Any) -> Document:
        return Document(tags={"joined": len(docs), "apart": len(docs_matrix)})

    flow = Flow(protocol="http", host="127.0.0.1").add(Careless, name="a").add(Careless, name="b", needs="gateway")
    with flow.add(rank, needs=["a", "b"]):
        (response,) = flow.post("/good", ["x", "y"], return_results=True)
        assert response.docs[0].tags == {"joined": 2, "apart": 2}


@pytest.mark.parametrize("engine", ["inline", "thread"])
def test_stopped_while_it_starts(engine: str) -> None:
    """What is stopped before it has started does not start after all, and everything made is closed."""
    made, go, log = threading.Event(), threading.Event(), []

    class Slow(Executor):
        def __init__(self, name: str) -> None:
            log.append(f"{name} made")

        async def warm_up(self) -> None:
            made.set()
            await deferLater(reactor, 0.1, lambda: None).asFuture(__import__("asyncio").get_running_loop())  # type: ignore[arg-type]

        @requests
        async def f(self) -> None:
            pass

        def close(self) -> None:
            log.append("closed")

    flow = Flow(protocol="http", host="127.0.0.1").add(Slow, uses_with={"name": "first"}, engine=engine)
    flow.add(Slow, uses_with={"name": "second"}, engine=engine)
    service = make_service(flow.config)

    def race() -> Deferred[Any]:
        starting = service.start()
        starting.addErrback(lambda failure: log.append(failure.getErrorMessage()))
        return deferLater(reactor, 0.01, service.stop).addCallback(lambda _: starting)  # type: ignore[arg-type]

    wait_for(race)
    go.set()
    assert log == ["first made", "closed", "stopped before it had started"]
    assert service.gateways == []
