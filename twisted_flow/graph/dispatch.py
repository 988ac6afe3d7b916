"""Walking a request through the flow's executors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..document.identity import new_id
from ..errors import ValidationError
from ..executor.table import Endpoint, find
from ..interfaces import IDispatcher
from ..message import Request, Response, Route
from ..ready import MaybeDeferred
from .graph import GATEWAY, NodeConfig
from .plan import Branches, plan
from .walk import Visit, walk

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

    def visit(self, request: Request, started: datetime | None = None) -> MaybeDeferred[Response]:
        """The node's response, with its entry in the routes; *started* is when, if not now."""
        started = started or _now(_UTC)
        response: MaybeDeferred[Response] = self.dispatcher.dispatch(request)
        if isinstance(response, Deferred):
            return response.addCallback(self._visited, started)
        return self._visited(response, started)

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
        self._ways: dict[tuple[str, str], Visit] = {}
        self._visits = {node.name: node.visit for node in nodes}

    def dispatch(self, request: Request) -> MaybeDeferred[Response]:
        """See `IDispatcher`."""
        header = request.header
        try:
            way = self._ways[header.exec_endpoint, header.target_peapod]
        except KeyError:
            try:
                way = self._find_way(header.exec_endpoint, header.target_peapod)
            except re.error as wrong:
                raise ValidationError.at("/targetPeapod", f"is no regular expression: {wrong}") from None
        return way(request)

    def _find_way(self, endpoint: str, target: str) -> Visit:
        visited: dict[str, Branches] = {}
        for name, node in self.nodes.items():
            found = find(node.endpoints, endpoint)
            if found is not None and (not target or re.match(target, name)):
                visited[name] = found.branches
        found_plan = plan(self.graph, visited)
        chain = found_plan.chain
        if chain is None:
            way: Visit = partial(walk, found_plan, self._visits)
        elif len(chain) == 1:
            way = self._visits[chain[0]]
        else:
            way = partial(_through, [self.nodes[name] for name in chain])
        if len(self._ways) >= _REMEMBERED:
            self._ways.clear()
        self._ways[endpoint, target] = way
        return way


def _chain(nodes: Sequence[Node]) -> tuple[NodeConfig, ...]:
    before = [GATEWAY, *(node.name for node in nodes)]
    return tuple(NodeConfig(node.name, None, needs=(needed,)) for node, needed in zip(nodes, before, strict=False))


def _through(chain: Sequence[Node], request: Request) -> MaybeDeferred[Response]:
    """The response of the last one of *chain*, each of which takes what the one before it made."""
    if not chain:
        return Response(request, request.docs, request.groundtruths, [])
    response = chain[0].visit(request)
    for node in chain[1:]:
        if isinstance(response, Deferred):
            response.addCallback(_go_on, node)
        else:
            response = _go_on(response, node)
    return response


def _go_on(response: Response, node: Node) -> MaybeDeferred[Response]:
    """From where *response* was made on to *node*; what was asked at first stays what is answered."""
    asked = response.request
    if response.docs is asked.docs and response.groundtruths is asked.groundtruths:  # changed in place
        request = asked
    else:
        request = replace(asked, docs=response.docs, groundtruths=response.groundtruths)
    later = node.visit(request, response.routes[-1].end_time)
    if isinstance(later, Deferred):
        return later.addCallback(_joined, response)
    return _joined(later, response)


def _joined(later: Response, response: Response) -> Response:
    if later.request is response.request:
        later.routes[:0] = response.routes
        return later
    routes = response.routes + later.routes
    return Response(response.request, later.docs, later.groundtruths, routes, later.status)
