"""Documents as they come, for a method that takes them one by one: ``docs: AsyncIterator[Document]``."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, final, get_origin

from ..document import Document, DocumentArray
from ..errors import FlowError
from ..parts import AHEAD

__all__ = ["Arrivals", "asked_for"]

_WRITTEN = re.compile(r"(\w+\.)*(AsyncIterator|AsyncIterable)\b")


def asked_for(annotation: object) -> bool:
    """Whether *annotation*, of ``docs``, which may be a string, asks for an asynchronous iterator."""
    if isinstance(annotation, str):
        return _WRITTEN.match(annotation.strip("'\" ")) is not None
    return (get_origin(annotation) or annotation) in (AsyncIterator, AsyncIterable)


@final
class Arrivals(AsyncIterator[Document]):
    """See the module. Used where the method runs. It ends with the last document, or raises why no more will come.

    :param signal: an ``asyncio.Event``.
    :param docs: those that have come already.
    :param whole: whether no others will.
    :param more: told by how much of `AHEAD` what has been taken makes room again.
    """

    def __init__(
        self, signal: Any, docs: DocumentArray, whole: bool, more: Callable[[int], object] = lambda taken: None
    ) -> None:
        self._signal, self._more = signal, more
        self._parts: deque[tuple[DocumentArray, int]] = deque()
        self._docs: deque[Document] = deque(docs)  # of the part that is being taken
        self._taken = 0  # and not told yet
        self._ended = whole
        self._error: FlowError | None = None

    def put(self, part: DocumentArray, cost: int) -> None:
        """A part has come."""
        self._parts.append((part, cost))
        self._signal.set()

    def end(self, error: FlowError | None = None) -> None:
        """No more will come; because of *error*, if there is one."""
        self._ended, self._error = True, error
        self._signal.set()

    async def __anext__(self) -> Document:
        """The next document.

        :raises FlowError: if the others do not come: one cannot be read, or the caller has sent no last one.
        """
        while not self._docs:
            if self._parts:
                part, cost = self._parts.popleft()
                self._docs.extend(part)
                self._taken += cost
                if self._taken >= AHEAD // 2:
                    self._tell()
            elif not self._ended:
                self._tell()
                self._signal.clear()
                await self._signal.wait()
            elif self._error is not None:
                raise self._error
            else:
                raise StopAsyncIteration
        return self._docs.popleft()

    def _tell(self) -> None:
        taken, self._taken = self._taken, 0
        if taken and not self._ended:
            self._more(taken)
