"""Walking a request through the flow's executors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ..document.identity import new_id
from ..errors import ValidationError
from ..executor.table import find
from ..interfaces import IDispatcher
from ..message import Request, Response, Route
from ..ready import result_of

__all__ = ["FlowDispatcher", "Node"]

_now, _UTC = datetime.now, UTC
_REMEMBERED = 1000  # ways through the flow that are kept; who asks for more makes them anew


class Node:
    """One executor of a flow.

    :param name: the executor's.
    :param endpoints: what it answers.
    :param dispatcher: how to have it answer.
    """

    def __init__(self, name: str, endpoints: Mapping[str, Any], dispatcher: IDispatcher) -> None:
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
    """Hands a request from executor to executor, in a chain; only those that have its endpoint, and are meant by
    ``targetPeapod``, see it.

    :param nodes: the executors in their order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self._ways: dict[tuple[str, str], tuple[Node, ...]] = {}

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
        if not way:
            return succeed(Response(request, request.docs, request.groundtruths, []))
        response = way[0].visit(request)
        for node in way[1:]:
            response.addCallback(_go_on, node)
        return response

    def _find_way(self, endpoint: str, target: str) -> tuple[Node, ...]:
        way = tuple(
            node
            for node in self.nodes
            if find(node.endpoints, endpoint) is not None and (not target or re.match(target, node.name))
        )
        if len(self._ways) >= _REMEMBERED:
            self._ways.clear()
        self._ways[endpoint, target] = way
        return way


def _go_on(response: Response, node: Node) -> Deferred[Response]:
    """From where *response* was made on to *node*; what was asked at first stays what is answered."""
    asked = response.request
    request = replace(asked, docs=response.docs, groundtruths=response.groundtruths)

    def joined(later: Response) -> Response:
        return Response(asked, later.docs, later.groundtruths, response.routes + later.routes, later.status)

    return node.visit(request).addCallback(joined)
