"""Taking things in the order in which they came, where some of them take a while to be read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["InOrder", "Slot"]


class Slot:
    """The place of one of them."""

    take: Callable[[], object] | None = None
    """What takes it, once it can be taken."""


class InOrder:
    """See the module."""

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()

    def __bool__(self) -> bool:
        """Whether something is not read yet."""
        return bool(self._slots)

    def later(self) -> Slot:
        """A place, for what has come now, and is taken by `ready`."""
        slot = Slot()
        self._slots.append(slot)
        return slot

    def ready(self, slot: Slot, take: Callable[[], object] = lambda: None) -> None:
        """Have *take* called for what has that place, behind all that came before it."""
        slot.take = take
        while self._slots and (first := self._slots[0].take) is not None:
            self._slots.popleft()
            first()

    def add(self, take: Callable[[], object]) -> None:
        """The same for what has come now."""
        self.ready(self.later(), take)
