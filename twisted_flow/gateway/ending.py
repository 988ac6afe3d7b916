"""Why a request that is cancelled from outside got no answer: its caller went away, or the server's grace is over."""

from __future__ import annotations

from ..errors import Cancelled, FlowError, Unavailable
from ..telemetry.numbers import Numbers

__all__ = ["LAST_WORDS", "Ending"]

LAST_WORDS = 0.5
"""Seconds for the last answers to be sent."""


class Ending:
    """Whether a gateway is past its grace, for the errors of requests that are cancelled.

    :param numbers: counts them.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self.cutting = False
        """Whether what is cancelled now is cut by the server."""
        self.cut = 0
        """How many requests were."""

    def error(self) -> FlowError:
        """What a request that is cancelled now is answered."""
        if not self.cutting:
            return Cancelled("the caller closed the connection")
        self.cut += 1
        self._numbers.cut += 1
        return Unavailable("the server stopped before the request was answered")
