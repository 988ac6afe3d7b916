"""Walking a request through the flow's executors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ..document.identity import new_id
from ..errors import ValidationError
from ..executor.table import Endpoint, find
from ..interfaces import IDispatcher
from ..message import Request, Response, Route
from ..ready import result_of
from .graph import GATEWAY, NodeConfig
from .plan import Branches, Plan, plan
from .walk import walk

__all__ = ["FlowDispatcher", "Node"]

_now, _UTC = datetime.now, UTC
_REMEMBERED = 1000  # ways through the flow that are kept; who asks for more makes them anew


class Node:
    """One executor of a flow.

    :param name: the executor's.
    :param endpoints: what it answers.
    :param dispatcher: how to have it answer.
    """

    def __init__(self, name: str, endpoints: Mapping[str, Endpoint], dispatcher: IDispatcher) -> None:
        self.name, self.endpoints, self.dispatcher = name, endpoints, dispatcher
        self.id = new_id()

    def visit(self, request: Request) -> Deferred[Response]:
        """The node's response, with its entry in the routes."""
        started = _now(_UTC)
        response: Deferred[Response] = self.dispatcher.dispatch(request)
        done = result_of(response)
        if done is None:
            return response.addCallback(self._visited, started)
        self._visited(done, started)
        return response

    def _visited(self, response: Response, started: datetime) -> Response:
        response.routes.append(Route(self.name, self.id, started, _now(_UTC)))
        return response


@implementer(IDispatcher)
class FlowDispatcher:
    """Takes a request through the graph; only those executors that have its endpoint, and are meant by
    ``targetPeapod``, see it.

    :param nodes: the executors.
    :param graph: how they are joined; None: one behind the other.
    """

    def __init__(self, nodes: Sequence[Node], graph: Sequence[NodeConfig] | None = None) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.graph = _chain(nodes) if graph is None else tuple(graph)
        self._ways: dict[tuple[str, str], tuple[Node, ...] | Plan] = {}
        self._visits = {node.name: node.visit for node in nodes}

    def dispatch(self, request: Request) -> Deferred[Response]:
        """See `IDispatcher`."""
        header = request.header
        try:
            way = self._ways[header.exec_endpoint, header.target_peapod]
        except KeyError:
            try:
                way = self._find_way(header.exec_endpoint, header.target_peapod)
            except re.error as wrong:
                return fail(ValidationError.at("/targetPeapod", f"is no regular expression: {wrong}"))
        if isinstance(way, Plan):
            return walk(way, request, self._visits)
        if not way:
            return succeed(Response(request, request.docs, request.groundtruths, []))
        response = way[0].visit(request)
        for node in way[1:]:
            done = result_of(response)
            if done is None:
                response.addCallback(_go_on, node)
            else:
                response = _go_on(done, node)
        return response

    def _find_way(self, endpoint: str, target: str) -> tuple[Node, ...] | Plan:
        visited: dict[str, Branches] = {}
        for name, node in self.nodes.items():
            found = find(node.endpoints, endpoint)
            if found is not None and (not target or re.match(target, name)):
                visited[name] = found.branches
        found_plan = plan(self.graph, visited)
        chain = found_plan.chain
        way = found_plan if chain is None else tuple(self.nodes[name] for name in chain)
        if len(self._ways) >= _REMEMBERED:
            self._ways.clear()
        self._ways[endpoint, target] = way
        return way


def _chain(nodes: Sequence[Node]) -> tuple[NodeConfig, ...]:
    before = [GATEWAY, *(node.name for node in nodes)]
    return tuple(NodeConfig(node.name, None, needs=(needed,)) for node, needed in zip(nodes, before, strict=False))


def _go_on(response: Response, node: Node) -> Deferred[Response]:
    """From where *response* was made on to *node*; what was asked at first stays what is answered."""
    asked = response.request
    if response.docs is asked.docs and response.groundtruths is asked.groundtruths:  # changed in place
        request = asked
    else:
        request = replace(asked, docs=response.docs, groundtruths=response.groundtruths)
    later = node.visit(request)
    done = result_of(later)
    if done is None:
        return later.addCallback(_joined, response)
    joined = _joined(done, response)
    return later if joined is done else succeed(joined)


def _joined(later: Response, response: Response) -> Response:
    if later.request is response.request:
        later.routes[:0] = response.routes
        return later
    routes = response.routes + later.routes
    return Response(response.request, later.docs, later.groundtruths, routes, later.status)
