"""Invalidation of cached lookups."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Generation"]


class Generation:
    """Calls its watchers once when it ends; then the next one begins."""

    def __init__(self) -> None:
        self._watchers: dict[object, Callable[[], object]] = {}

    def watch(self, forget: Callable[[], object]) -> Callable[[], object]:
        """See `IChanging`."""
        key = object()
        self._watchers[key] = forget
        return lambda: self._watchers.pop(key, None)

    def end(self) -> None:
        """End the generation: call all watchers, whose cached lookups are invalid now."""
        for forget in list(self._watchers.values()):
            forget()
