"""Chains whose executors take documents as they come, from the one before or from the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.internet.task import deferLater

from tests.engine.streams import doing, pulled, until
from tests.support import asking, request, wait_for
from twisted_flow import Document, DocumentArray, Executor, requests
from twisted_flow.engine.choose import make_engine
from twisted_flow.errors import ExecutorError
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.feed import Feed
from twisted_flow.graph.chain import chain_of
from twisted_flow.graph.node import Node
from twisted_flow.outcome import collected
from twisted_flow.policy.admission import Admission


class Source(Executor):
    """Makes a word for each number up to that of the parameters."""

    ended = 0

    @requests(on="/go")
    async def go(self, docs: DocumentArray, parameters: dict[str, Any]) -> AsyncIterator[Document]:
        try:
            for number in range(parameters.get("number", 3)):
                if number == parameters.get("fails"):
                    raise ValueError("as asked")
                yield Document(f"{docs[0].text}{number}")
        finally:
            Source.ended += 1


class Whole(Executor):
    """Takes all at once."""

    @requests(on="/go")
    def go(self, docs: DocumentArray) -> None:
        for doc in docs:
            doc.text += "."


class Upper(Executor):
    """Takes them as they come."""

    @requests(on="/go")
    async def go(self, docs: AsyncIterator[Document], parameters: dict[str, Any]) -> AsyncIterator[Document]:
        taken = 0
        async for doc in docs:
            yield Document(doc.text.upper())
            taken += 1
            if taken == parameters.get("most"):
                return


class Count(Executor):
    """The same, and answers when it has them all."""

    @requests(on="/go")
    async def go(self, docs: AsyncIterator[Document]) -> Document:
        texts = [doc.text async for doc in docs]
        return Document(" ".join(texts))


class Chain:
    """Executors one behind the other, each in an engine of its own."""

    def __init__(self, *kinds: type[Executor], engine: str) -> None:
        specs = [ExecutorSpec(uses=kind, name=kind.__name__.lower()) for kind in kinds]
        self.engines = [make_engine(spec, "thread" if spec.uses is Whole else engine) for spec in specs]
        for each in self.engines:
            wait_for(each.start)
        nodes = [Node(each.name, each.endpoints, Admission(each, 10)) for each in self.engines]
        self.visit = chain_of(nodes, "/go")

    def dispatch(self, request: Any) -> Any:
        return self.visit(request)

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *problem: object) -> None:
        for each in self.engines:
            wait_for(each.stop)


@pytest.fixture(params=["inline", "process"])
def engine(request: pytest.FixtureRequest) -> str:
    Source.ended = 0
    return str(request.param)


def stations(answer: Any) -> list[str]:
    return [route.pod for route in answer.routes]


CHAINS: list[tuple[tuple[type[Executor], ...], list[str]]] = [
    ((Source, Upper), ["A0", "A1", "A2"]),
    ((Source, Whole, Upper), ["A0.", "A1.", "A2."]),
    ((Source, Upper, Whole), ["A0.", "A1.", "A2."]),
    ((Source, Upper, Count), ["A0 A1 A2"]),
    ((Source, Count, Upper), ["A0 A1 A2"]),
    ((Whole, Upper), ["A."]),
    ((Upper,), ["A"]),
    ((), ["a"]),
]


@pytest.mark.parametrize(("kinds", "texts"), CHAINS)
@pytest.mark.parametrize("stream", [True, False])
def test_the_same_answer(kinds: tuple[type[Executor], ...], texts: list[str], stream: bool, engine: str) -> None:
    """Whoever asks for parts gets the documents of who does not; every executor is among the routes, in order."""

    async def run(chain: Chain) -> None:
        asked = request(Document("a"), endpoint="/go", stream=stream)
        answer: Any = await asking(chain, asked).addCallback(collected)
        assert answer.docs.texts == texts
        assert stations(answer) == [kind.__name__.lower() for kind in kinds]

    with Chain(*kinds, engine=engine) as chain:
        doing(lambda: run(chain))


@pytest.mark.parametrize(
    ("kinds", "texts"),
    [((Upper,), ["A", "B"]), ((Whole,), ["a.", "b."]), ((Upper, Whole), ["A.", "B."]), ((Whole, Upper), ["A.", "B."]),
     ((Source,), ["a0", "a1", "a2"]), ((Upper, Upper), ["A", "B"]), ((Count, Upper), ["A B"]), ((), ["a", "b"])],
)  # fmt: skip
def test_a_request_in_parts(kinds: tuple[type[Executor], ...], texts: list[str], engine: str) -> None:
    """Its parts go to the first that takes them; any other waits for the last one."""

    async def run(chain: Chain) -> None:
        cancelled: list[int] = []
        feed = Feed(lambda taken: None, lambda: cancelled.append(1))
        answer: Any = asking(chain, request(Document("a"), endpoint="/go", parts=feed.parts))
        feed.put(DocumentArray([Document("b")]))
        feed.end()
        answer = await answer.addCallback(collected)
        assert (answer.docs.texts, stations(answer)) == (texts, [kind.__name__.lower() for kind in kinds])
        assert feed.parts.over

    with Chain(*kinds, engine=engine) as chain:
        doing(lambda: run(chain))


def test_each_when_it_is_made(engine: str) -> None:
    """What the first makes has gone through all before it makes the next; a slow reader pauses all."""

    async def run(chain: Chain) -> None:
        feed = Feed(lambda taken: None, lambda: None)
        stream = await asking(chain, request(endpoint="/go", stream=True, parts=feed.parts))
        for text in "a", "b":
            feed.put(DocumentArray([Document(text)]))
            assert await pulled(stream, 1) == [[text.upper()]]
        feed.end()
        assert await pulled(stream) == []

    with Chain(Upper, Upper, Upper, engine=engine) as chain:
        doing(lambda: run(chain))


def test_one_that_takes_a_few(engine: str) -> None:
    """When it has answered, the one before it ends: nobody takes what it makes."""

    async def run(chain: Chain) -> None:
        asked = request(Document("a"), endpoint="/go", stream=True, parameters={"number": 10**9, "most": 2})
        stream: Any = await asking(chain, asked)
        assert await pulled(stream) == [["A0"], ["A1"]]
        assert stations(stream) == ["source", "upper"]
        if engine == "inline":
            await until(lambda: Source.ended == 1)

    with Chain(Source, Upper, engine=engine) as chain:
        doing(lambda: run(chain))


@pytest.mark.parametrize("last", [Upper, Count])
def test_cancelled(last: type[Executor], engine: str) -> None:
    """Cancelling ends all of them."""

    async def run(chain: Chain) -> None:
        asked = request(Document("a"), endpoint="/go", stream=True, parameters={"number": 10**9})
        stream: Any = await asking(chain, asked)
        waiting = maybeDeferred(stream.parts.pull)
        if last is Upper:
            await waiting
            waiting = maybeDeferred(stream.parts.pull)
        await deferLater(reactor, 0.02)  # type: ignore[arg-type]
        stream.parts.cancel()
        if last is Count:
            with pytest.raises(CancelledError):
                await waiting
        if engine == "inline":
            await until(lambda: Source.ended == 1)

    with Chain(Source, last, engine=engine) as chain:
        doing(lambda: run(chain))


@pytest.mark.parametrize("last", [Upper, Count])
def test_the_first_fails(last: type[Executor], engine: str) -> None:
    """Its error is the answer's, by its name, behind what came before."""

    async def run(chain: Chain) -> None:
        asked = request(Document("a"), endpoint="/go", stream=True, parameters={"fails": 1})
        stream = await asking(chain, asked)
        if last is Upper:
            assert await pulled(stream, 1) == [["A0"]]
        with pytest.raises(ExecutorError, match="executor 'source' raised ValueError") as raised:
            await pulled(stream)
        assert raised.value.executor == "source"

    with Chain(Source, last, engine=engine) as chain:
        doing(lambda: run(chain))
