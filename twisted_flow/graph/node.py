"""One executor's place in a flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..document.identity import new_id
from ..executor.table import Endpoint
from ..interfaces import IStation
from ..maybe import MaybeDeferred
from ..message import Request, Response

__all__ = ["Node", "Visit"]

Visit = Callable[[Request], MaybeDeferred[Response]]
"""How a node, or a whole way, answers."""


class Node:
    """One executor of a flow.

    :param name: the executor's.
    :param endpoints: what it answers.
    :param station: how to have it answer.
    """

    def __init__(self, name: str, endpoints: Mapping[str, Endpoint], station: IStation) -> None:
        self.name, self.endpoints = name, endpoints
        self.dispatch: Visit = station.dispatch
        self.at_once = station.at_once
        self.id = new_id()
