"""Bytes that have come in and are not answered yet: counted for each connection, and bounded for all together."""

from __future__ import annotations

from ..errors import QueueFull

__all__ = ["Account", "Buffered"]


class Buffered:
    """The number of bytes that all connections of a flow keep.

    :param most: how many bytes that may be.
    """

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0

    def has_room(self, size: int = 0) -> bool:
        """Whether so many bytes more may come in before they are answered."""
        return self.bytes + size <= self.most

    def refusal(self) -> QueueFull:
        """The error for a request that finds no room."""
        return QueueFull("too many bytes are received and not answered yet", retry_after=1)


class Account:
    """The number of bytes that one connection keeps.

    :param total: what all keep.
    """

    def __init__(self, total: Buffered) -> None:
        self.total, self.bytes = total, 0

    def add(self, more: int) -> None:
        """Note that so many bytes more (or fewer) are kept."""
        self.bytes += more
        self.total.bytes += more

    def keep(self, size: int) -> bool:
        """Change the number of bytes kept, if there is room; return whether there was."""
        more = size - self.bytes
        if more > 0 and not self.total.has_room(more):
            return False
        self.add(more)
        return True
