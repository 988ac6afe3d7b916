"""Graphs, drawn by hand and at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from twisted_flow import Document, DocumentArray, Executor, requests
from twisted_flow.graph.graph import NodeConfig


def graph(**needs: str) -> list[NodeConfig]:
    """Nodes, each with the names of those that it needs."""
    return [NodeConfig(name, None, needs=tuple(its.split())) for name, its in needs.items()]


DIAMOND = graph(a="gateway", b="a", c="a", d="b c")


@st.composite
def graphs(draw: Any) -> tuple[list[NodeConfig], set[str]]:
    """Any graph, and which of its nodes are visited."""
    count = draw(st.integers(0, 7))
    nodes = []
    for number in range(count):
        earlier = ["gateway", *(f"n{n}" for n in range(number))]
        needs = draw(st.lists(st.sampled_from(earlier), min_size=1, max_size=3, unique=True))
        nodes.append(NodeConfig(f"n{number}", None, needs=tuple(needs)))
    visited = draw(st.sets(st.sampled_from([node.name for node in nodes]))) if nodes else set()
    return draw(st.permutations(nodes)), visited


class Add(Executor):
    """Adds its mark."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    @requests
    async def add(self, docs: DocumentArray, **kwargs: Any) -> None:
        for document in docs:
            document.tags[self.mark] = sorted(document.tags)


class Rank(Executor):
    """Sees the branches apart."""

    @requests
    def rank(self, docs_matrix: list[DocumentArray], **kwargs: Any) -> Document:
        return Document(tags={"seen": [sorted(docs[0].tags) for docs in docs_matrix]})
