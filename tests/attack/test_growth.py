"""Inputs that grow tenfold take ten times as long: told by counting steps, at two sizes each; and what cannot is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.support import request, steps_of, wait_for
from twisted_flow import Document, DocumentArray, Flow
from twisted_flow.config.yaml import read
from twisted_flow.document.copies import copied
from twisted_flow.document.merge import merge
from twisted_flow.engine.inline import InlineEngine
from twisted_flow.engine.thread import ThreadEngine
from twisted_flow.errors import ConfigurationError, ExecutorError, ValidationError
from twisted_flow.executor.component import component
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.graph.dispatch import FlowDispatcher
from twisted_flow.graph.node import Node
from twisted_flow.graph.target import named
from twisted_flow.policy.admission import Admission


def joining(n: int, nested: bool) -> Callable[[], Any]:
    """A join of *n* documents that all have one id."""
    documents = [Document(id="a", text=str(k)) for k in range(n)]
    before = DocumentArray([Document(id="root", chunks=documents)] if nested else documents)
    branches = [copied(before), copied(before)[::-1] if not nested else copied(before)]
    for branch in branches:
        (branch[0].chunks if nested else branch)[0].text = "changed"
    return lambda: merge(before, branches, [])


@pytest.mark.parametrize("nested", [False, True], ids=["documents", "chunks"])
def test_joins_of_equal_ids(nested: bool) -> None:
    """Documents of one id are joined in the order of their coming."""
    assert steps_of(joining(1000, nested)) < 12 * steps_of(joining(100, nested))


TARGETS = {
    "a set of all": "(?i)[\\x00-\\U0010ffff]" * 20,
    "many sets": "[a-\u0100]" * 80,
    "sets within repeats": "(?:[\\x00-\\uffff]{0,3}){0,3}" * 10,
    "a set of what is not": "(?i)[^\u0100-\U0010ffff]" * 20,
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets_that_take_long_to_compile(name: str) -> None:
    """They are refused before that."""
    began = time.process_time()
    with pytest.raises(ValidationError, match="targetPeapod"):
        list(named(TARGETS[name][:500], ["encode", "rank"]))
    assert time.process_time() - began < 1  # it took half a second each, twenty times over


def test_aliases_without_end() -> None:
    """A YAML file that repeats itself by aliases is refused, and ends."""
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    with pytest.raises(ConfigurationError, match="aliases"):
        read("\n".join(lines) + "\n")
    assert read("a: &a [1, 2]\nb: *a\n").value == {"a": [1, 2], "b": [1, 2]}
    with pytest.raises(ConfigurationError):
        Flow.load_config("jtype: Flow\n" + "\n".join(lines) + "\n")


def executor(kind: str, raised: type[BaseException]) -> Any:
    from twisted_flow import Executor, requests

    class Raises(Executor):
        if kind == "def":

            @requests
            def f(self, docs: DocumentArray) -> None:
                raise raised
        elif kind == "async":

            @requests
            async def f(self, docs: DocumentArray) -> None:
                raise raised
        elif kind == "awaiting":

            @requests
            async def f(self, docs: DocumentArray) -> None:
                import asyncio

                await asyncio.sleep(0)
                raise raised
        else:

            @requests
            def f(self, docs: DocumentArray) -> Any:
                yield docs[0]
                raise raised

    return Raises


@pytest.mark.parametrize("raised", [GeneratorExit, SystemExit, KeyboardInterrupt, StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("kind", ["def", "async", "awaiting", "generator"])
@pytest.mark.parametrize("engine", [InlineEngine, ThreadEngine])
def test_whatever_ends_ends_its_request_alone(kind: str, engine: Any, raised: type[BaseException]) -> None:
    """What a method raises is its request's error, also in a chain, and the next request is answered."""
    engines = [engine(component(ExecutorSpec(uses=executor(kind, raised), name=name))) for name in ("a", "b")]
    for each in engines:
        wait_for(each.start)
    flow = FlowDispatcher([Node(each.name, each.endpoints, Admission(each, 10)) for each in engines])

    def ask() -> Any:
        answer = flow.dispatch(request(Document("x"), endpoint="/x"))
        return answer if isinstance(answer, Deferred) else None

    for _ in range(3):
        with pytest.raises(ExecutorError, match="executor 'a' raised"):
            wait_for(ask)
    for each in engines:
        wait_for(each.stop)
