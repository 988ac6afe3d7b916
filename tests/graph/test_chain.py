"""A chain answers the same whether its executors are run in one go or one by one."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from tests.support import asking, request, wait_for
from twisted_flow import Document, DocumentArray, Executor, Reject, requests
from twisted_flow.engine.choose import ENGINES, make_engine
from twisted_flow.errors import ExecutorError, FlowError, NotFound, Unavailable
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.graph.chain import chain_of
from twisted_flow.graph.node import Node
from twisted_flow.interfaces import IChanging, IDirect
from twisted_flow.policy.admission import Admission

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="fresh")


class Marks(Executor):
    """Marks every text, in the way that the endpoint says. It never waits."""

    def __init__(self, mark: str = "") -> None:
        self.mark = mark

    @requests(on="/change")
    async def change(self, docs: DocumentArray, **kwargs: Any) -> None:
        assert list(kwargs) == ["parameters", "groundtruths", "docs_matrix", "groundtruths_matrix"]
        assert kwargs["docs_matrix"] == [docs]
        for document in docs:
            document.text = (document.text or "") + self.mark

    @requests(on="/return")
    async def replace(self, docs: DocumentArray) -> list[Document]:
        return [Document(text=(document.text or "") + self.mark) for document in docs]

    @requests(on="/odd")
    async def odd(self, docs: DocumentArray) -> Any:
        return None if self.mark == "a" else 5

    @requests(on="/spoil")
    async def spoil(self, docs: Any) -> None:
        if self.mark == "b":
            docs.append("nonsense")

    @requests(on="/raise")
    async def fail(self) -> None:
        if self.mark == "b":
            raise ValueError("as asked")

    @requests(on="/exit")
    async def exit(self) -> None:
        if self.mark == "b":
            raise SystemExit(3)

    @requests(on="/reject")
    async def reject(self) -> None:
        raise Reject("NotFound", "not here")

    @requests(on="/context")
    async def told(self, docs: DocumentArray, context: Any, parameters: dict[str, Any]) -> None:
        docs[0].text = f"{context.request_id} {context.deadline} {parameters['x']}"

    @requests(on="/parameters")
    async def note(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        parameters[self.mark] = len(parameters)

    @requests(on="/variable")
    async def variable(self, docs: DocumentArray) -> None:
        docs[0].text = f"{docs[0].text}{self.mark} {VARIABLE.get()} "
        if self.mark != "c":
            VARIABLE.set("stale")

    @requests(on="/principal")
    async def principal(self, docs: DocumentArray, context: Any) -> None:
        docs[0].text = f"{docs[0].text}{self.mark} {context.principal} "
        context.principal = self.mark


class Waits(Marks):
    """The same, but that it waits each time."""

    @requests(on="/change")
    async def change(self, docs: DocumentArray, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        await super().change(docs, **kwargs)

    async def told_late(self, docs: DocumentArray, **kwargs: Any) -> None:
        await asyncio.sleep(0)

    @requests(on="/return")
    async def replace(self, docs: DocumentArray) -> list[Document]:
        await asyncio.sleep(0)
        return await super().replace(docs)


class Reloaded(Marks):
    """Is given other code while it runs."""

    @requests(on="/change")
    async def change(self, docs: DocumentArray, **kwargs: Any) -> None:
        pass


KINDS = {"in one go": (Marks, Marks, Marks), "mixed": (Marks, Waits, Marks), "waiting": (Waits, Waits, Waits)}


class Chain:
    """A chain of three executors, a, b and c."""

    def __init__(self, kinds: tuple[type[Marks], ...], engine: str) -> None:
        specs = [
            ExecutorSpec(uses=kind, name=name, uses_with={"mark": name})
            for kind, name in zip(kinds, "abc", strict=True)
        ]
        self.engines = [make_engine(spec, engine) for spec in specs]
        self.nodes = [Node(engine.name, engine.endpoints, Admission(engine, 100)) for engine in self.engines]

    def ask(self, endpoint: str, *texts: str, **asked: Any) -> Any:
        visit = chain_of(self.nodes, endpoint)
        self.request = request(*map(Document, texts), endpoint=endpoint, **asked)
        return wait_for(lambda: asking(Visiting(visit), self.request))


class Visiting:
    """A dispatcher that is a visit."""

    def __init__(self, visit: Any) -> None:
        self.dispatch = visit


SPREAD = (next(iter(KINDS)), "process")
"""One chain in processes of their own: to start them takes longest."""


@pytest.fixture(
    params=[*((kinds, engine) for kinds in KINDS for engine in sorted(ENGINES) if engine != "process"), SPREAD],
    ids=" ".join,
)
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    kinds, engine = request.param
    chain = Chain(KINDS[kinds], engine)
    for each in chain.engines:
        wait_for(each.start)
    yield chain
    for each in chain.engines:
        wait_for(each.stop)


def test_answers(chain: Chain) -> None:
    """Each takes what the one before it made, or changed; each is a station of the route, in order and in time."""
    for endpoint in ("/change", "/return"):
        response = chain.ask(endpoint, "x", "y")
        assert response.docs.texts == ["xabc", "yabc"]
        assert response.request is chain.request
        assert [route.pod for route in response.routes] == ["a", "b", "c"]
        assert [route.pod_id for route in response.routes] == [node.id for node in chain.nodes]
        times = [time for route in response.routes for time in (route.start_time, route.end_time)]
        assert times == sorted(times)
        assert chain.ask(endpoint).docs == []


def test_groundtruths(chain: Chain) -> None:
    """They go along."""
    truths = DocumentArray([Document("t")])
    assert chain.ask("/return", "x", groundtruths=truths).groundtruths == truths


def test_parameters(chain: Chain) -> None:
    """What one does to them reaches the next one, and the answer."""
    for given in ({}, {"x": 1}):
        found = chain.ask("/parameters", "x", parameters=dict(given)).parameters
        assert found == {**given, "a": len(given), "b": len(given) + 1, "c": len(given) + 2}


@pytest.mark.parametrize(
    ("endpoint", "error", "message"),
    [
        ("/odd", ExecutorError, "executor 'b' returned int"),
        ("/spoil", ExecutorError, "executor 'b' returned str among its documents"),
        ("/raise", ExecutorError, "executor 'b' raised ValueError"),
        ("/exit", ExecutorError, "executor 'b' raised SystemExit"),
        ("/reject", NotFound, "not here"),
    ],
)
def test_failures(chain: Chain, endpoint: str, error: type[FlowError], message: str) -> None:
    """The first that fails is named; the next request is none the wiser."""
    with pytest.raises(error, match=message) as wrong:
        chain.ask(endpoint, "x")
    assert wrong.value.executor == ("a" if endpoint == "/reject" else "b")
    assert chain.ask("/change", "x").docs.texts == ["xabc"]


@pytest.mark.parametrize(("endpoint", "stations"), [("/raise", "ab"), ("/odd", "ab"), ("/reject", "a")])
def test_routes_of_failures(chain: Chain, endpoint: str, stations: str) -> None:
    """An error carries the routes that the request came by; the last is that of the executor that failed."""
    with pytest.raises(FlowError) as raised:
        chain.ask(endpoint, "x")
    routes = raised.value.routes
    assert [route.pod for route in routes] == list(stations)
    assert [route.status is not None for route in routes] == [*[False] * (len(stations) - 1), True]
    assert routes[-1].status.exception.executor == stations[-1]


def test_told(chain: Chain) -> None:
    """What a method is told of its request."""
    assert chain.ask("/context", "x", deadline=7.0, parameters={"x": 1}).docs.texts == ["r1 7.0 1"]


def test_fresh_context(chain: Chain) -> None:
    """Nothing of one request, or of one executor, shows in another."""
    for _ in range(3):
        response = chain.ask("/variable", "")
        assert response.docs[0].text == "a fresh b fresh c fresh "
        assert [route.pod for route in response.routes] == ["a", "b", "c"]
        assert chain.ask("/principal", "").docs[0].text == "a None b None c None "


class Swapped(Marks):
    """Has in the end another method than its class has."""

    def __init__(self, mark: str = "") -> None:
        super().__init__(mark)

        async def waits(docs: DocumentArray, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            for document in docs:
                document.text = (document.text or "") + mark

        def plain(docs: DocumentArray) -> list[Document]:
            return [Document(text=(document.text or "") + mark) for document in docs]

        self.change = waits  # type: ignore[method-assign]
        self.replace = plain  # type: ignore[method-assign, assignment]


def test_methods_of_the_object() -> None:
    """What its constructor put in the place of a method is called as what it is."""
    chain = Chain((Marks, Swapped, Marks), "inline")
    for each in chain.engines:
        wait_for(each.start)
    assert chain.ask("/change", "x").docs.texts == ["xabc"]
    assert chain.ask("/return", "x").docs.texts == ["xabc"]


def test_code_that_is_swapped() -> None:
    """As reloading in a notebook does: the executor that waits after all is named."""
    chain = Chain((Marks, Reloaded, Marks), "inline")
    for each in chain.engines:
        wait_for(each.start)
    before = Reloaded.change.__code__
    Reloaded.change.__code__ = Waits.told_late.__code__
    try:
        with pytest.raises(ExecutorError, match="executor 'b' raised RuntimeError"):
            chain.ask("/change", "x")
    finally:
        Reloaded.change.__code__ = before
    assert chain.ask("/change", "x").docs.texts == ["xac"]


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_not_open(engine: str) -> None:
    """Executors that are not open yet are `Unavailable`, and are asked again later."""
    chain = Chain(KINDS["in one go"], engine)
    for station in [*chain.engines, *(Admission(each, 1) for each in chain.engines)]:
        verifyObject(IChanging if engine == "process" and station in chain.engines else IDirect, station)
    with pytest.raises(Unavailable, match="executor 'a' is new"):
        chain.ask("/change", "x")
    assert chain.nodes[0].direct("/nothing") is None
