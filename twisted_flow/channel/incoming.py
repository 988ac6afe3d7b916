"""An answer that comes in parts: taken a few parts ahead of who pulls them; further than that, nothing is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from ..document import DocumentArray
from ..document.weight import weight
from ..errors import FlowError
from ..feed import Feed
from ..message import Request, Response, ResponseStream, StatusCode, error_in
from ..parts import AHEAD, cost_of

__all__ = ["Incoming"]


@final
class Incoming:
    """See the module. Used on the reactor alone.

    :param request: what was asked.
    :param pause: told whether nothing is to be read for now.
    :param end: ends the connection, or call: called once, when nothing more is wanted, or to come.
    """

    def __init__(self, request: Request, pause: Callable[[bool], object], end: Callable[[], object]) -> None:
        self._pause, self._close = pause, end
        self._left, self._paused = AHEAD, False
        self._feed = Feed(self._more, self._end)
        self.stream = ResponseStream(request, self._feed.parts, [])
        """What comes. Where it fails, `status` tells how."""

    def put(self, docs: DocumentArray) -> None:
        """A part has come."""
        cost = cost_of(weight(docs))
        self._left -= cost
        self._feed.put(docs, cost)
        self._pause_or_resume()

    def answered(self, response: Response) -> None:
        """A message has come: a part, or the end. (A server that knows no parts answers with the end alone.)"""
        code = response.status.code
        if code < StatusCode.ERROR and response.docs:
            self.put(response.docs)
        if code != StatusCode.PENDING:
            self.stream.routes, self.stream.status = list(response.routes), response.status
            self.over(error_in(response.status) if code >= StatusCode.ERROR else None)

    def over(self, error: FlowError | None = None) -> None:
        """Nothing more comes; because of *error*, if there is one."""
        self._feed.end(error)
        self._end()

    def _more(self, taken: int) -> None:
        self._left += taken
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        paused = self._left <= 0
        if paused is not self._paused:
            self._paused = paused
            self._pause(paused)

    def _end(self) -> None:
        close, self._close = self._close, lambda: None
        self._pause = lambda paused: None
        close()
