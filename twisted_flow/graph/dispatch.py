"""Walking a request through the flow's executors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace
from zope.interface import implementer

from ..errors import NotFound
from ..executor.catalogue import ASKED, Catalogue
from ..executor.table import find
from ..interfaces import IDispatcher
from ..maybe import MaybeDeferred
from ..message import Request, Response
from ..outcome import Outcome
from ..suggestion import nearest
from .chain import chain_of
from .graph import GATEWAY, NodeConfig
from .node import Node, Visit
from .plan import Branches, plan
from .target import named
from .walk import walk

__all__ = ["FlowDispatcher"]

_REMEMBERED, _SHORT = 1000, 500  # ways that are kept, and characters that name each; all others are made anew


@implementer(IDispatcher)
class FlowDispatcher:
    """Takes a request through the graph; only those executors that have its endpoint, and are meant by
    ``targetPeapod``, see it.

    :param nodes: the executors.
    :param graph: how they are joined; None: one behind the other.
    :param strict: whether an endpoint that no executor has is an error; else documents pass through.
    :param catalogue: what another flow is told that has this one as an executor; None: nothing.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        graph: Sequence[NodeConfig] | None = None,
        strict: bool = False,
        catalogue: Callable[[], Catalogue] | None = None,
    ) -> None:
        self.strict, self.catalogue = strict, catalogue
        self.nodes = {node.name: node for node in nodes}
        self.graph = _chain(nodes) if graph is None else tuple(graph)
        self._ways: dict[tuple[str, str], Visit] = {}
        for node in nodes:
            node.watch(self._ways.clear)

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        header = request.header
        try:
            way = self._ways[header.exec_endpoint, header.target_peapod]
        except KeyError:
            way = self._find_way(header.exec_endpoint, header.target_peapod)
        return way(request)

    def _check(self, endpoint: str) -> None:
        tables = [node.endpoints for node in self.nodes.values()]
        if not any(find(table, endpoint) is not None for table in tables):
            known = sorted({name for table in tables for name in table})
            raise NotFound(f"no executor has the endpoint {endpoint!r}{nearest(endpoint, known)}")

    def _tell(self, request: Request) -> Response:
        assert self.catalogue is not None
        return Response(replace(request, parameters=self.catalogue().told()), request.docs, request.groundtruths, [])

    def _find_way(self, endpoint: str, target: str) -> Visit:
        if endpoint == ASKED and self.catalogue is not None:
            return self._tell
        if self.strict:
            self._check(endpoint)
        visited: dict[str, Branches] = {}
        meant = named(target, self.nodes)
        for name in meant:
            found = find(self.nodes[name].endpoints, endpoint)
            if found is not None:
                visited[name] = found.branches
        found_plan = plan(self.graph, visited)
        chain = found_plan.chain
        if chain is None:
            way: Visit = partial(walk, found_plan, {name: chain_of([self.nodes[name]], endpoint) for name in visited})
        else:
            way = chain_of([self.nodes[name] for name in chain], endpoint)
        if len(endpoint) + len(target) <= _SHORT:
            if len(self._ways) >= _REMEMBERED:
                self._ways.clear()
            self._ways[endpoint, target] = way
        return way


def _chain(nodes: Sequence[Node]) -> tuple[NodeConfig, ...]:
    before = [GATEWAY, *(node.name for node in nodes)]
    return tuple(NodeConfig(node.name, None, needs=(needed,)) for node, needed in zip(nodes, before, strict=False))
