"""Watching what a policy wraps."""

from __future__ import annotations

from collections.abc import Callable

from ..interfaces import IChanging, IDispatcher

__all__ = ["watch_of"]

Watch = Callable[[Callable[[], object]], Callable[[], object]]


def watch_of(inner: IDispatcher) -> Watch:
    """The ``watch`` of *inner*, see `IChanging`; where it never changes, one that never calls."""
    changing = IChanging(inner, None)
    return _never if changing is None else changing.watch


def _never(_: Callable[[], object]) -> Callable[[], object]:
    return lambda: None
