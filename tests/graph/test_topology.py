"""What a user builds of executors, served and asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.graphs import Add, Rank
from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, Flow, requests


def mark(flow: Flow, name: str, **options: Any) -> Flow:
    return flow.add(Add, name=name, uses_with={"mark": name}, **options)


def flow() -> Flow:
    return Flow(protocol="http", host="127.0.0.1")


def tags(built: Flow) -> Any:
    with built:
        (response,) = built.post("/", Document("x"), return_results=True)
        return response.docs[0].tags


def diamond() -> Flow:
    return mark(mark(mark(flow(), "a"), "b"), "c", needs="a")


def test_needs() -> None:
    """Branches are joined where they are needed; what is added next stands behind the join."""
    built = mark(diamond().needs(["b", "c"]), "d")
    assert built.num_executors == 5
    assert built["joiner"].needs == ("b", "c")
    assert built[0].name == "a"
    assert tags(built) == {"a": [], "b": ["a"], "c": ["a"], "d": ["a", "b", "c"]}


def test_needs_all() -> None:
    """All ends are joined."""
    built = mark(mark(diamond(), "e", needs="gateway").needs_all(name="all"), "d")
    assert built["all"].needs == ("b", "c", "e")
    assert tags(built) == {"a": [], "b": ["a"], "c": ["a"], "e": [], "d": ["a", "b", "c", "e"]}


def test_names() -> None:
    """Joins that nobody named have names of their own."""
    built = mark(mark(flow(), "a"), "b", needs="gateway").needs_all().inspect(Add, uses_with={"mark": "x"}).gather()
    mark(built, "c", needs="gateway").needs_all().inspect(Add, uses_with={"mark": "y"}).gather()
    names = [built[n].name for n in range(built.num_executors)]
    assert names == ["a", "b", "joiner", "inspect3", "gather", "c", "joiner1", "inspect7", "gather1"]


def test_running() -> None:
    """A flow that runs stays as it is, and says so."""
    with mark(flow(), "a") as built:
        for change in (lambda: mark(built, "b"), lambda: built.expose_endpoint("/foo")):
            with pytest.raises(RuntimeError, match="cannot be changed: close it first"):
                change()
    mark(built, "b").expose_endpoint("/foo")
    assert tags(built) == {"a": [], "b": ["a"]}


def test_log() -> None:
    """In a Python program what the log has to say goes to ``logging``, which shows warnings."""
    code = """
from twisted_flow import Flow
def one(docs): docs[0].text = "one"
def two(docs): docs[0].text = "two"
def aside(docs): raise ValueError("aside")
flow = Flow(protocol="http", host="127.0.0.1")
with flow.add(one, name="a").inspect(aside, name="i", engine="inline").add(two, name="b", needs="gateway") as f:
    assert f.post("/", ["x"], return_results=True)[0].docs.texts == ["one"]
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert "content of document" in done.stderr
    assert "i, whose answer is not awaited, failed: executor 'i' raised ValueError" in done.stderr
    assert "Traceback" not in done.stderr


def test_inspect() -> None:
    """What stands at the side sees what there is, and changes nothing; what is added next does not wait for it."""
    seen: list[list[str]] = []

    def look(docs: DocumentArray, **kwargs: Any) -> None:
        seen.append(sorted(docs[0].tags))
        docs[0].tags["looked"] = True

    built = mark(mark(flow(), "a").inspect(look, engine="inline"), "b")
    assert tags(built) == {"a": [], "b": ["a"]}
    assert seen == [["a"]]


def test_gather() -> None:
    """What was made at the side is joined, if that is asked for."""
    built = mark(flow(), "a").inspect(Add, name="side", uses_with={"mark": "side"})
    assert tags(mark(mark(built, "b").gather(), "c")) == {"a": [], "side": ["a"], "b": ["a"], "c": ["a", "b", "side"]}


def test_apart() -> None:
    """An endpoint that names docs_matrix gets the branches in the order in which it needs them."""
    assert tags(diamond().add(Rank, needs=["c", "b"])) == {"seen": [["a", "c"], ["a", "b"]]}
    assert tags(mark(flow(), "a").add(Rank)) == {"seen": [["a"]]}


def test_nothing_in_it() -> None:
    """An executor without uses lets documents through."""
    assert tags(mark(flow().add(), "a")) == {"a": []}


@pytest.fixture(params=["http", "websocket", "grpc"])
def served(request: pytest.FixtureRequest) -> Iterator[Flow]:
    with mark(Flow(protocol=request.param, host="127.0.0.1"), "a").add(Broken, needs="gateway") as built:
        yield built


class Broken(Executor):
    """Fails when asked to."""

    @requests(on="/fail")
    async def fail(self) -> None:
        raise ValueError("as asked")


def test_failure(served: Flow) -> None:
    """A branch that fails is an error that names the executor; the next request goes its way."""
    failed: list[Any] = []
    served.post("/fail", Document("x"), on_error=failed.append)
    assert len(failed) == 1
    (response,) = served.post("/", Document("x"), return_results=True)
    assert response.docs[0].tags == {"a": []}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: flow().add(name="a").add(name="a"), "two executors are named 'a'"),
        (lambda: flow().add(name="a", needs="b").start(), "'a' needs 'b', and there is no such executor"),
        (lambda: flow().add(name="a", needs="b").add(name="b").start(), "circle: a → b → a"),
        (lambda: flow().add(name="a", needs=[]).start(), "nothing leads to 'a'"),
    ],
)
def test_mistakes(build: Any, said: str) -> None:
    """One line, before anything listens."""
    with pytest.raises(ConfigurationError, match=said):
        build()


def test_no_such_executor() -> None:
    """Asking for an executor that there is not names the nearest one."""
    with pytest.raises(KeyError, match="did you mean 'encode'"):
        flow().add(name="encode")["encoed"]
