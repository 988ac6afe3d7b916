"""Until when what was found out about something holds."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Generation"]


class Generation:
    """Tells those who watch when it ends; then the next one begins."""

    def __init__(self) -> None:
        self._watchers: dict[object, Callable[[], object]] = {}

    def watch(self, forget: Callable[[], object]) -> Callable[[], object]:
        """See `IChanging`."""
        key = object()
        self._watchers[key] = forget
        return lambda: self._watchers.pop(key, None)

    def end(self) -> None:
        """What was found out is to be forgotten."""
        for forget in list(self._watchers.values()):
            forget()
