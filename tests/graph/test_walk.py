"""Forks, joins, and what happens on the way."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from tests.graphs import DIAMOND, graph, graphs
from tests.streams import Streaming, texts
from tests.support import Dispatcher, Held, Log, asking, request
from twisted_flow import Document, DocumentArray
from twisted_flow.errors import NotFound
from twisted_flow.executor.table import Endpoint
from twisted_flow.feed import Feed
from twisted_flow.graph.dispatch import FlowDispatcher
from twisted_flow.graph.graph import NodeConfig
from twisted_flow.graph.node import Node
from twisted_flow.message import Request, Response

ANY = Endpoint("/default", "f", ("docs",), blocking=False)
APART = Endpoint("/default", "f", ("docs_matrix",), blocking=False, branches="apart")
BOTH = Endpoint("/default", "f", ("docs", "docs_matrix"), blocking=False, branches="both")


def flow(nodes: list[NodeConfig], endpoint: dict[str, Endpoint] | None = None, **dispatchers: Any) -> FlowDispatcher:
    return FlowDispatcher(
        [Node(name, {"/default": (endpoint or {}).get(name, ANY)}, each) for name, each in dispatchers.items()], nodes
    )


def tagging(name: str) -> Dispatcher:
    def work(asked: Request) -> None:
        for document in asked.docs:
            document.tags[name] = sorted(document.tags)

    return Dispatcher(work)


def answered(dispatcher: FlowDispatcher, *documents: Document, **asked: Any) -> Response:
    return asking(dispatcher, request(*documents, **asked)).result  # type: ignore[return-value]


def test_diamond() -> None:
    """Branches do not see each other; the join sees both, and so does the answer."""
    made = answered(flow(DIAMOND, **{name: tagging(name) for name in "abcd"}), Document(id="x"))
    assert made.docs["x"].tags == {"a": [], "b": ["a"], "c": ["a"], "d": ["a", "b", "c"]}
    assert [route.pod for route in made.routes] == ["a", "b", "c", "d"]


def test_side_by_side() -> None:
    """Branches run at the same time; the join waits for both, whichever is first."""
    left, right = Held(), Held()
    dispatcher = flow(graph(b="gateway", c="gateway", d="b c"), b=left, c=right, d=tagging("d"))
    answer = asking(dispatcher, request(Document(id="x")))
    assert len(left.requests) == len(right.requests) == 1
    right.requests[0].docs[0].text = "right"
    right.release()
    assert not answer.called
    left.requests[0].docs[0].text = "left"
    with Log() as lines:
        left.release()
    assert answer.result.docs[0].text == "left"  # type: ignore[union-attr]
    (line,) = lines
    assert line.startswith("warn request ")
    assert ": content of document x, and 0 more, were changed by more than one branch before d: " in line


def test_several_ends() -> None:
    """What several ends made is joined for the answer."""
    made = answered(flow(graph(b="gateway", c="gateway"), b=tagging("b"), c=tagging("c")), Document(id="x"))
    assert made.docs["x"].tags == {"b": [], "c": []}


def test_target() -> None:
    """Only who is meant is visited."""
    dispatcher = flow(DIAMOND, **{name: tagging(name) for name in "abcd"})
    assert answered(dispatcher, Document(id="x"), target="[bd]").docs["x"].tags == {"b": [], "d": ["b"]}
    assert answered(dispatcher, Document(id="x"), target="[bc]").docs["x"].tags == {"b": [], "c": []}
    assert answered(dispatcher, Document(id="x"), target="z").docs["x"].tags == {}


class TestApart:
    def test_returns(self) -> None:
        """An executor that asks for the branches gets one for each that it needs, and makes the documents."""
        seen = []

        class Rank(Dispatcher):
            def dispatch(self, request: Request) -> Response:
                assert request.docs_matrix is not None
                seen.extend([list(docs[0].tags) for docs in request.docs_matrix])
                docs = DocumentArray([Document(id="made")])
                return Response(request, docs, docs, [])

        dispatcher = flow(DIAMOND, {"d": APART}, a=tagging("a"), b=tagging("b"), c=tagging("c"), d=Rank())
        assert [document.id for document in answered(dispatcher, Document(id="x")).docs] == ["made"]
        assert seen == [["a", "b"], ["a", "c"]]
        seen.clear()
        answered(dispatcher, Document(id="x"), target="[bd]")
        assert seen == [["b"], []]

    def test_in_place(self) -> None:
        """If it returns nothing, what it did to the branches is joined."""

        def work(asked: Request) -> None:
            for n, docs in enumerate(asked.docs_matrix or []):
                docs[0].tags[f"d{n}"] = n

        made = answered(
            flow(DIAMOND, {"d": APART}, a=tagging("a"), b=tagging("b"), c=tagging("c"), d=Dispatcher(work)),
            Document(id="x"),
        )
        assert made.docs["x"].tags == {"a": [], "b": ["a"], "c": ["a"], "d0": 0, "d1": 1}
        nobody = answered(flow(DIAMOND, {"d": APART}, d=Dispatcher(work)), Document(id="x"))
        assert nobody.docs["x"].tags == {"d0": 0, "d1": 1}

    def test_nested(self) -> None:
        """Branches that part later are joined first, also if they came apart: what nobody changed is no change."""

        def saying(text: str) -> Dispatcher:
            return Dispatcher(lambda asked: setattr(asked.docs[0], "text", text))

        nodes = graph(a="gateway", b="a", c="a", d="gateway", j="c b d")
        parts = {"a": saying("a"), "b": saying("ab"), "c": Dispatcher(), "d": Dispatcher()}
        for endpoint in (ANY, APART, BOTH):
            made = answered(flow(nodes, {"j": endpoint}, **parts, j=Dispatcher()), Document(id="x"))
            assert made.docs["x"].text == "ab"

    def test_both(self) -> None:
        """Who asks for docs too gets them joined, and their own."""

        def work(asked: Request) -> None:
            asked.docs[0].tags["seen"] = [sorted(docs[0].tags) for docs in asked.docs_matrix or []]

        made = answered(
            flow(DIAMOND, {"d": BOTH}, b=tagging("b"), c=tagging("c"), d=Dispatcher(work)), Document(id="x")
        )
        assert made.docs["x"].tags == {"b": [], "c": [], "seen": [["b"], ["c"]]}


class TestFailure:
    def test_one_branch(self) -> None:
        """Where one branch fails, that is the answer, and the others are cancelled."""
        left, right, after = Held(), Held(), Dispatcher()
        dispatcher = flow(graph(b="gateway", c="gateway", d="b c"), b=left, c=right, d=after)
        answer = asking(dispatcher, request(Document()))
        left.fail(NotFound("x"))
        assert isinstance(answer.result.value, NotFound)  # type: ignore[union-attr]
        answer.addErrback(lambda _: None)
        assert (right.cancelled, after.requests) == (1, [])

    def test_at_once(self) -> None:
        """Where the first branch fails at once, the others do not begin."""
        failing, other = Dispatcher(lambda asked: (_ for _ in ()).throw(NotFound("x"))), Dispatcher()
        answer = asking(flow(graph(b="gateway", c="gateway"), b=failing, c=other), request(Document()))
        answer.addErrback(lambda failure: failure.trap(NotFound))
        assert (answer.result, other.requests) == (NotFound, [])

    @pytest.mark.parametrize("early", [True, False])
    def test_what_cannot_be_copied(self, early: bool) -> None:
        """Documents that cannot be copied are an error of that request, and nothing waits for ever."""
        held = Held()
        dispatcher = flow(DIAMOND, a=held, b=Dispatcher(), c=Dispatcher(), d=Dispatcher())
        answer = asking(dispatcher, request(Document(tags={"lock": threading.Lock()} if early else {})))
        if not early:
            held.requests[0].docs[0].tags["lock"] = threading.Lock()
        held.release()
        answer.addErrback(lambda failure: failure.trap(TypeError))
        assert answer.result is TypeError

    def test_cancel(self) -> None:
        """Cancelling reaches every branch."""
        left, right = Held(), Held()
        answer = asking(flow(graph(b="gateway", c="gateway"), b=left, c=right), request(Document()))
        answer.cancel()
        answer.addErrback(lambda failure: failure.trap(CancelledError))
        assert (left.cancelled, right.cancelled) == (1, 1)

    def test_cancelled(self) -> None:
        """Nothing goes on behind a request that was cancelled, whatever its executor makes of that."""
        after = Dispatcher()

        class Stubborn(Dispatcher):
            def dispatch(self, request: Request) -> Deferred[Response]:
                response = Response(request, request.docs, request.groundtruths, [])
                return Deferred(lambda deferred: deferred.callback(response))

        answer = asking(flow(graph(a="gateway", b="a", c="a"), a=Stubborn(), b=after, c=after), request(Document()))
        answer.cancel()
        answer.addErrback(lambda failure: failure.trap(CancelledError))
        assert after.requests == []

    def test_floating_copies(self) -> None:
        """What cannot be copied at the side is no failure of the request."""

        def work(asked: Request) -> None:
            asked.docs[0].tags["lock"] = threading.Lock()

        side = {"needs": ("a",), "floating": True}
        nodes = [NodeConfig("a", None), NodeConfig("b", None, **side)]
        nodes += [NodeConfig(name, None, needs=("b",), floating=True) for name in "cd"]
        after = Dispatcher()
        with Log() as lines:
            made = answered(flow(nodes, a=tagging("a"), b=Dispatcher(work), c=after, d=after), Document(id="x"))
        assert (made.docs["x"].tags, after.requests) == ({"a": []}, [])
        assert "b, whose answer is not awaited" in lines[0]

    def test_floating(self) -> None:
        """Nobody waits for what stands at the side, and its failure is only told in the log."""
        nodes = [NodeConfig("a", None), NodeConfig("b", None, needs=("a",), floating=True)]
        aside = Held()
        dispatcher = flow(nodes, a=tagging("a"), b=aside)
        made = answered(dispatcher, Document(id="x"))
        aside.requests[0].docs[0].text = "elsewhere"
        assert (made.docs[0].tags, made.docs[0].text) == ({"a": []}, "")
        with Log() as lines:
            aside.fail(NotFound("no"))
        assert lines[0].endswith(": b, whose answer is not awaited, failed: no")


def test_nothing_leaks() -> None:
    """Parameters and groundtruths are a branch's own too."""
    left, right = Held(), Held()
    asked = request(Document(id="x"), parameters={"list": [1]}, groundtruths=DocumentArray([Document(id="t")]))
    answer = asking(flow(graph(b="gateway", c="gateway"), b=left, c=right), asked)
    left.requests[0].parameters["list"].append(2)
    left.requests[0].groundtruths[0].text = "left"
    assert (right.requests[0].parameters, right.requests[0].groundtruths[0].text) == ({"list": [1]}, "")
    left.release(), right.release()
    assert answer.result.groundtruths[0].text == "left"  # type: ignore[union-attr]
    assert answer.result.parameters == {"list": [1]}  # type: ignore[union-attr]


@settings(max_examples=60, deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_any_order(made: tuple[list[NodeConfig], set[str]], chance: random.Random) -> None:
    """In any graph the answer has every node's change, seen by those behind it, in whatever order they are ready."""
    nodes, visited = made
    results = []
    for _ in range(2):
        held = {name: Held() for name in visited}
        answer = asking(flow(nodes, **held), request(Document(id="x", text="x")))
        while not answer.called or answer.paused:
            name = chance.choice([name for name, each in held.items() if each.held and not each.held[0].called])
            document = held[name].requests[0].docs[0]
            document.tags[name] = sorted(document.tags)
            document.chunks.append(Document(id=f"of {name}"))
            document.text = name  # they contend for it
            held[name].release()
        results.append(answer.result.docs[0])  # type: ignore[union-attr]
    one, other = results
    assert one.to_json() == other.to_json()
    assert set(one.tags) == visited
    assert {chunk.id for chunk in one.chunks} == {f"of {name}" for name in visited}
    for name in visited:
        assert one.tags[name] == other.tags[name]


@pytest.mark.parametrize("count", [0, 1, 100])
def test_any_number(count: int) -> None:
    """A fork takes any number of documents, in their order."""
    made = answered(
        flow(DIAMOND, **{name: tagging(name) for name in "abcd"}), *(Document(id=str(n)) for n in range(count))
    )
    assert [document.id for document in made.docs] == [str(n) for n in range(count)]


@pytest.mark.parametrize("stream", [True, False])
def test_streams_on_the_way(stream: bool) -> None:
    """Forks and joins collect, also a request that comes in parts: branches that stream meet whole, joined or apart."""
    left, right = Streaming("l1", "l2"), Streaming("r")
    seen: list[list[str | None]] = []

    def rank(asked: Request) -> None:
        seen.extend(texts(docs) for docs in asked.docs_matrix or [])

    dispatcher = flow(graph(b="gateway", c="gateway", d="b c"), {"d": APART}, b=left, c=right, d=Dispatcher(rank))
    feed = Feed(lambda taken: None, lambda: None)
    answer = asking(dispatcher, request(Document("a"), stream=stream, parts=feed.parts))
    assert left.requests == []
    feed.put(DocumentArray([Document("b")]))
    feed.end()
    assert type(answer.result) is Response
    assert seen == [["l1", "l2"], ["r"]]
    assert [texts(each.requests[0].docs) for each in (left, right)] == [["a", "b"]] * 2
    assert not left.requests[0].stream
