"""Parts that their maker puts in, a few ahead of who pulls them, and no more: a slow consumer pauses it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import final

from twisted.internet.defer import Deferred

from .document import DocumentArray
from .errors import FlowError
from .maybe import MaybeDeferred
from .parts import AHEAD, Parts

__all__ = ["Feed", "Relay"]

_TOGETHER = 16  # as `cost_of` counts beyond 1: larger parts leave alone, so that messages do not get large by that


@final
class Feed:
    """See the module. Used on the reactor alone. Its maker may make parts whose costs come to `AHEAD`, and then waits.

    :param more: told by how much of that what has been pulled makes room again.
    :param cancel: ends the making: the parts are not wanted any more.
    """

    def __init__(self, more: Callable[[int], object], cancel: Callable[[], object]) -> None:
        self.parts = Parts(self._pull, self._cancel, self._rest)
        """What is pulled."""
        self._more, self._cancel_making = more, cancel
        self._ready: deque[tuple[DocumentArray, int]] = deque()
        self._awaited: Deferred[DocumentArray | None] | None = None
        self._taken = 0  # and not told to the maker yet
        self._ended = False
        self._error: FlowError | None = None

    @property
    def starved(self) -> bool:
        """Whether a part is awaited: its maker is at work, or should be."""
        return self._awaited is not None

    def put(self, part: DocumentArray, cost: int = 1) -> None:
        """A part has been made; nobody may want it any more."""
        self.put_all([(part, cost)])

    def put_all(self, parts: Iterable[tuple[DocumentArray, int]]) -> None:
        """Some have been made, one at least: who awaits the first finds the others behind it."""
        if self.parts.over:
            return
        self._ready.extend(parts)
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            part, cost = self._ready.popleft()
            self._took(cost)
            awaited.callback(part)

    def end(self, error: FlowError | None = None) -> None:
        """No more will be made; because of *error*, if there is one."""
        if self._ended or self.parts.over:
            return
        self._ended, self._error = True, error
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            return
        if error is None:
            awaited.callback(None)
        else:
            awaited.errback(error)

    def _pull(self) -> MaybeDeferred[DocumentArray | None]:
        if self._ready:
            part, cost = self._ready.popleft()
            self._took(cost)
            return part
        if self._ended:
            if self._error is not None:
                raise self._error
            return None
        if self._taken:
            taken, self._taken = self._taken, 0
            self._more(taken)
            if self._ready or self._ended:  # at once
                return self._pull()
        awaited: Deferred[DocumentArray | None] = Deferred(lambda _: self._cancel())
        self._awaited = awaited
        return awaited

    def _rest(self, docs: DocumentArray) -> None:
        """See `Parts`; up to 256 KiB."""
        ready, total, room = self._ready, 0, _TOGETHER
        while ready:
            part, cost = ready[0]
            room -= cost - 1
            if room < 0:
                break
            ready.popleft()
            docs.extend(part)
            total += cost
        if total:
            self._took(total)

    def _took(self, cost: int) -> None:
        """A part has left; the maker is told of several at once, well before it would have to wait."""
        self._taken += cost
        if self._taken >= AHEAD // 2 and not self._ended:
            taken, self._taken = self._taken, 0
            self._more(taken)

    def _cancel(self) -> None:
        self._awaited = None
        self._ready.clear()
        if not self._ended:
            self._ended = True
            self._cancel_making()


@final
class Relay:
    """Puts parts into a feed from elsewhere: those that are made before the first has arrived arrive with it.

    :param call: has a function called on the reactor.
    """

    def __init__(self, feed: Feed, call: Callable[[Callable[[], object]], object]) -> None:
        self.feed, self._call = feed, call
        self._parts: deque[tuple[DocumentArray, int]] = deque()
        self._called = False

    def put(self, part: DocumentArray, cost: int) -> None:
        """Where they are made: one has been."""
        self._parts.append((part, cost))
        if not self._called:
            self._called = True
            self._call(self._arrive)

    def end(self, error: FlowError | None = None) -> None:
        """On the reactor: no more will be, because of *error*, if there is one."""
        self._arrive()
        self.feed.end(error)

    def _arrive(self) -> None:
        """On the reactor. The maker may go on meanwhile."""
        self._called = False
        parts = self._parts
        arrived = [parts.popleft() for _ in range(len(parts))]
        if arrived:
            self.feed.put_all(arrived)
