"""Which way a request takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given

from tests.graphs import DIAMOND, graph, graphs
from twisted_flow import ConfigurationError
from twisted_flow.graph.graph import NodeConfig, ends, ordered
from twisted_flow.graph.plan import Join, Plan, plan


def drawn(nodes: list[NodeConfig], visited: str = "", **branches: Any) -> tuple[list[str], str]:
    """Each stop with what it takes, in words; and where the answer comes from."""
    names = visited.split() if visited else [node.name for node in nodes]
    found = plan(nodes, {name: branches.get(name, "joined") for name in names})
    return [f"{stop.node}({said(found, stop.source)})" for stop in found.stops[1:]], said(found, found.end)


def said(found: Plan, source: int | Join) -> str:
    if isinstance(source, int):
        return found.stops[source].node or ("in" if source == 0 else f"#{source}")
    return f"{' '.join(said(found, branch) for branch in source.branches)} | {said(found, source.base)}"


@pytest.mark.parametrize(
    ("nodes", "visited", "stops", "end"),
    [
        ([], "", [], "in"),
        (graph(a="gateway", b="a"), "", ["a(in)", "b(a)"], "b"),
        (graph(a="gateway", b="a"), "b", ["b(in)"], "b"),
        (DIAMOND, "", ["a(in)", "b(a)", "c(a)", "d(b c | a)"], "d"),
        (DIAMOND, "b c", ["b(in)", "c(in)", "None(b c | in)"], "#3"),
        (DIAMOND, "b d", ["b(in)", "d(b)"], "d"),
        (DIAMOND, "d", ["d(in)"], "d"),
        (graph(a="gateway", b="gateway"), "", ["a(in)", "b(in)", "None(a b | in)"], "#3"),
        (graph(b="a", a="gateway"), "", ["a(in)", "b(a)"], "b"),
        (graph(a="gateway", b="a", c="a b"), "", ["a(in)", "b(a)", "c(b)"], "c"),
        (graph(a="gateway", b="gateway", c="b a"), "", ["a(in)", "b(in)", "c(b a | in)"], "c"),
        # What parted later is joined first.
        (
            graph(a="gateway", b="gateway", c="a", d="a", e="c b d"),
            "",
            ["a(in)", "b(in)", "c(a)", "d(a)", "e(c d | a b | in)"],
            "e",
        ),
    ],
)
def test_plans(nodes: list[NodeConfig], visited: str, stops: list[str], end: str) -> None:
    """Nodes that are not visited are left out, and forks that are none."""
    assert drawn(nodes, visited or " ".join(node.name for node in nodes)) == (stops, end)


def test_apart() -> None:
    """A node that takes branches apart takes one for each node that it needs."""
    assert drawn(DIAMOND, "b d", d="apart")[0] == ["b(in)", "d(b in | in)"]
    assert drawn(DIAMOND, "d", d="both")[0] == ["d(in in | in)"]
    assert drawn(graph(a="gateway", b="a"), "b", b="apart")[0] == ["b(in)"]


def test_floating() -> None:
    """Nobody waits for what floats, unless something needs it."""
    nodes = [NodeConfig("a", None), NodeConfig("b", None, needs=("a",), floating=True)]
    found = plan(nodes, {"a": "joined", "b": "joined"})
    assert (found.end, found.awaited, found.chain) == (1, {0, 1}, None)
    gathered = plan([*nodes, NodeConfig("c", None, needs=("a", "b"))], {"a": "joined", "b": "joined"})
    assert (gathered.end, gathered.awaited) == (2, {0, 1, 2})


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (graph(a="gateway") * 2, "two executors are named 'a'"),
        (graph(gateway="a"), "no executor can be named 'gateway'"),
        (
            graph(encoder="gateway", b="encodr"),
            "'b' needs 'encodr', and there is no such executor; did you mean 'encoder'?",
        ),
        (graph(a="b", b="c", c="a"), "in a circle: a → b → c → a"),
        (graph(a="a"), "in a circle: a → a"),
        (graph(a=""), "nothing leads to 'a'"),
    ],
)
def test_mistakes(nodes: list[NodeConfig], said: str) -> None:
    """One line says what is wrong with a graph."""
    with pytest.raises(ConfigurationError, match=re.escape(said)) as raised:
        ordered(nodes)
    assert "\n" not in str(raised.value)


@given(graphs())
def test_laws(made: tuple[list[NodeConfig], set[str]]) -> None:
    """Every visited node is a stop, behind all that lead to it and no other; every stop leads to the end."""
    nodes, visited = made
    found = plan(nodes, dict.fromkeys(visited, "joined"))
    before: dict[str, set[str]] = {"gateway": set()}
    for node in ordered(nodes):
        leading = set().union(*(before[name] for name in node.needs))
        before[node.name] = leading | ({node.name} & visited)
    seen: list[set[str]] = [set()]
    for place, stop in enumerate(found.stops[1:], 1):
        assert all(source < place for source in stop.sources)
        leading = set().union(*(seen[source] for source in stop.sources))
        seen.append(leading | ({stop.node} if stop.node else set()))
        if stop.node:
            assert seen[place] == before[stop.node]
    assert {stop.node for stop in found.stops} - {None} == visited
    assert seen[found.end] == set().union(*(before[name] for name in ends(nodes)))
    assert found.awaited == set(range(len(found.stops)))
