"""A stream of documents: parts that the consumer pulls one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast, final

from .document import DocumentArray
from .limits import Limits
from .maybe import MaybeDeferred

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

__all__ = ["AHEAD", "Credit", "Parts", "cost_of"]

AHEAD = 64
"""What a maker of parts may have made that nobody has pulled yet: the sum of their costs. One part may always be."""

T = TypeVar("T")
_USUAL = Limits()
_UNIT = 14  # bits: so many bytes of a part count as one more


def cost_of(size: int) -> int:
    """How much of `AHEAD` a part of *size* bytes takes: 1, and 1 more for every 16 KiB."""
    return 1 + (size >> _UNIT)


@final
class Parts:
    """See the module. Whoever holds one pulls it to its end, or cancels it.

    :param pull: makes the next part, or None where there are no more; at once, or by a Deferred, whose cancelling ends
        the work. It fails only with a `FlowError`. It is not called again before it has answered, nor after the end.
    :param cancel: ends the work while no part is awaited. Called once at most.
    :param rest: adds to documents those of small parts that are made already: `pull` gives them without any work.
    """

    def __init__(
        self,
        pull: Callable[[], MaybeDeferred[DocumentArray | None]],
        cancel: Callable[[], object] = lambda: None,
        rest: Callable[[DocumentArray], object] = lambda docs: None,
    ) -> None:
        self._pull, self._cancel, self.rest = pull, cancel, rest
        self._awaited: Deferred[DocumentArray | None] | None = None
        self._when_over: list[Callable[[], object]] = []
        self.over = False
        """Whether nothing more comes: the last part was pulled, or it has failed, or was cancelled."""
        self.bound = _USUAL
        """Of a request: how much of it may be collected, in bytes (`max_body`) and documents."""
        self.collecting: Callable[[int], object] = lambda size: None
        """Of a request: told how many bytes more have been. What it raises, a `FlowError`, is the end."""

    def pull(self) -> MaybeDeferred[DocumentArray | None]:
        """The next part; None: there are no more.

        :raises FlowError: what else the Deferred would fail with; then it is over.
        """
        if self.over:
            return None
        try:
            part = self._pull()
        except BaseException:
            self._end()
            raise
        if part is None or type(part) is DocumentArray:
            return self._pulled(part)
        self._awaited = awaited = cast("Deferred[DocumentArray | None]", part)
        return awaited.addCallbacks(self._pulled, self._failed)

    def when_over(self, call: Callable[[], object]) -> None:
        """Have *call* called once, when this is over; those that asked earlier are called before."""
        if self.over:
            call()
        else:
            self._when_over.append(call)

    def cancel(self) -> None:
        """End it. It may be called at any time, also while a part is awaited (which fails then), and any number of
        times.
        """
        if self.over:
            return
        awaited = self._awaited
        if awaited is None:
            self._cancel()
            self._end()
        else:
            awaited.cancel()
            self._end()

    def _pulled(self, part: DocumentArray | None) -> DocumentArray | None:
        self._awaited = None
        if part is None:
            self._end()
        return part

    def _failed(self, failure: T) -> T:
        self._awaited = None
        self._end()
        return failure

    def _end(self) -> None:
        if not self.over:
            self.over = True
            calls, self._when_over = self._when_over, []
            for call in calls:
                call()


class Credit:
    """How much a maker of parts that is a coroutine may make.

    :param signal: an ``asyncio.Event``.
    """

    def __init__(self, signal: Any) -> None:
        self.left, self._signal = AHEAD, signal

    def add(self, more: int) -> None:
        """So much of what was made has been taken."""
        self.left += more
        if self.left > 0:
            self._signal.set()

    async def wait(self) -> None:
        """Wait until there is some."""
        while self.left <= 0:
            self._signal.clear()
            await self._signal.wait()
