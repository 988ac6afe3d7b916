"""Callbacks for each answer, and the handling of failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import FlowError
from ..message import Response, StatusCode, error_in
from .progress import Progress

__all__ = ["Callback", "Told"]

log = Logger()

Callback = Callable[[object], object]


class Told:
    """The callbacks of one call, and how it handles failures."""

    def __init__(
        self,
        on_done: Callback | None,
        on_error: Callback | None,
        on_always: Callback | None,
        go_on: bool,
        progress: Progress | None,
    ) -> None:
        self.on_done, self.on_error, self.on_always, self.go_on = on_done, on_error, on_always, go_on
        self.progress = progress

    def end(self) -> None:
        """All is answered."""
        if self.progress is not None:
            self.progress.end()

    @property
    def wanted(self) -> bool:
        """Whether there is a callback that needs each answer as it comes."""
        return not self.on_done is self.on_error is self.on_always is None

    def take(self, documents: int, outcome: Response | Failure) -> Iterator[Response]:
        """Call back for *outcome*, and return it if it is a response.

        :param documents: how many there were in the request.
        :raises FlowError: if it is a failure that no callback handles.
        """
        error: Any = None
        if isinstance(outcome, Failure):
            error = outcome.value
            outcome = getattr(error, "response", None) or outcome
        if self.progress is not None:
            self.progress.answered(documents)
        if isinstance(outcome, Failure):
            if self.on_error is not None and isinstance(error, FlowError):
                self._call(self.on_error, error)
            elif not (self.go_on and isinstance(error, FlowError)):
                raise error
            return
        failed = outcome.status.code >= StatusCode.ERROR
        if failed and self.on_error is not None:
            self._call(self.on_error, outcome)
        elif failed and not self.go_on:
            raise error or error_in(outcome.status)
        elif not failed and self.on_done is not None:
            self._call(self.on_done, outcome)
        if self.on_always is not None:
            self._call(self.on_always, outcome)
        yield outcome

    def _call(self, callback: Callback, outcome: object) -> None:
        """Call a callback; with ``continue_on_error`` what it raises is only logged."""
        try:
            callback(outcome)
        except Exception:
            if not self.go_on:
                raise
            log.failure("a callback of the client raised")
