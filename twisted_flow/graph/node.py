"""One executor of a flow, as the graph knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..document.identity import new_id
from ..executor.call import Call
from ..executor.table import Endpoint
from ..interfaces import IChanging, IDirect, IDispatcher
from ..maybe import MaybeDeferred
from ..message import Request
from ..outcome import Outcome

__all__ = ["Node", "Visit"]

Visit = Callable[[Request], MaybeDeferred[Outcome]]
"""How a node, or a whole way, answers."""


class Node:
    """One executor of a flow.

    :param name: the executor's.
    :param endpoints: what it answers.
    :param dispatcher: has it answer.
    """

    def __init__(self, name: str, endpoints: Mapping[str, Endpoint], dispatcher: IDispatcher) -> None:
        self.name, self.endpoints = name, endpoints
        self.dispatch: Visit = dispatcher.dispatch
        self.id = new_id()
        self._direct: IDirect | None = IDirect(dispatcher, None)
        self._changing: IChanging | None = IChanging(dispatcher, None)

    def direct(self, endpoint: str) -> Call | None:
        """See `IDirect`; None where its dispatcher provides no such thing."""
        return None if self._direct is None else self._direct.direct(endpoint)

    def watch(self, forget: Callable[[], object]) -> None:
        """Call *forget* whenever the result of `direct` is invalid, or the endpoints are others."""
        if self._changing is not None:
            self._changing.watch(forget)
