"""The flow that is served now, which can be exchanged while gateways go on."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from ..generation import Generation
from ..interfaces import IChanging, IDispatcher
from ..maybe import MaybeDeferred
from ..message import Request
from ..outcome import Outcome

__all__ = ["Current"]


@implementer(IDispatcher, IChanging)
class Current:
    """The dispatcher that gateways hold: it forwards to *inner*.

    :param inner: what answers, until `exchange`.
    """

    dispatch: Callable[[Request], MaybeDeferred[Outcome]]
    """See `IDispatcher`: the inner one's own, so that it costs nothing. Not to be kept."""

    def __init__(self, inner: IDispatcher) -> None:
        self._generation = Generation()
        self.watch = self._generation.watch
        self.exchange(inner)

    def exchange(self, inner: IDispatcher) -> None:
        """From now on *inner* answers; what was asked before is answered by the one that was asked."""
        self.dispatch = inner.dispatch
        self._generation.end()
