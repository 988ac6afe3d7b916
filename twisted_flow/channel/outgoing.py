"""A request that goes out in parts: several messages with its id, as far ahead as the connection takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from msgspec.structs import replace
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..errors import FlowError
from ..message import Header, Request
from ..pump import Pump
from ..worker.messages import not_sendable

__all__ = ["Outgoing"]


@final
class Outgoing:
    """See the module. Used on the reactor alone. A request that is whole is one message.

    :param request: what is sent.
    :param write: writes a message; `more` tells, when it has been taken, by how much of `AHEAD` that makes room: by as
        much as is passed to it.
    :param fail: told why no more can be sent.
    """

    def __init__(
        self, request: Request, write: Callable[[Request, int], object], fail: Callable[[FlowError], object]
    ) -> None:
        self._request, self._write, self._fail = request, write, fail
        nothing = DocumentArray()
        self._next = replace(
            request, header=Header(""), docs=nothing, groundtruths=nothing, parameters={}, parts=None, timeout=None,
            stream=False, pending=True,
        )  # fmt: skip
        self._pump = None if request.parts is None else Pump(request.parts, self._put, self._ended)

    def start(self) -> None:
        """Send what is there.

        :raises Exception: if the first message cannot be encoded.
        """
        if self._pump is None:
            self._write(self._request, 0)
        else:
            self._write(replace(self._request, parts=None, pending=True), 0)
            self._pump.more(0)

    def more(self, taken: int) -> None:
        """What was written has been taken."""
        if self._pump is not None:
            self._pump.more(taken)

    def stop(self) -> None:
        """Send no more."""
        if self._pump is not None:
            self._pump.stop()

    def _put(self, part: DocumentArray, cost: int) -> None:
        message = replace(self._next, docs=part)
        try:
            self._write(message, cost)
        except Exception as raised:  # what the caller has put there
            self.stop()
            self._fail(not_sendable(raised, message, "the request"))

    def _ended(self, failure: Failure | None) -> None:
        if failure is None:
            self._write(replace(self._next, pending=False), 0)
        elif isinstance(failure.value, FlowError):
            self._fail(failure.value)  # else it was cancelled: nobody waits for the answer
