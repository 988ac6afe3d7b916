"""Requests of one connection that have come and wait for room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from ...entry import Entry
from ...interfaces import ICodec
from ...message import Request
from ..buffered import Account

__all__ = ["Come", "Held"]


class Come(Struct, eq=False):
    """A request that has come, and how."""

    request: Request
    codec: ICodec
    entry: Entry
    binary: bool
    since: datetime
    size: int
    """Bytes of its message."""
    done: Callable[[], object] = lambda: None
    """Called when it has been answered to its end."""


class Held:
    """See the module.

    :param account: where their bytes are counted.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._requests: deque[Come] = deque()
        self.size = 0
        """Bytes of their messages."""

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, come: Come) -> None:
        """Another one waits."""
        self._requests.append(come)
        self._count(come.size)

    def next(self) -> Come:
        """The one that has waited longest; it waits no more."""
        come = self._requests.popleft()
        self._count(-come.size)
        return come

    def take(self, which: Callable[[Come], bool]) -> list[Come]:
        """Those of *which* it holds; they wait no more."""
        taken = [come for come in self._requests if which(come)]
        for come in taken:
            self._requests.remove(come)
            self._count(-come.size)
        return taken

    def _count(self, size: int) -> None:
        self.size += size
        self._account.add(size)
