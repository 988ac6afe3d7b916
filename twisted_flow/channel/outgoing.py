"""A request that goes out in parts: several messages with its id, as far ahead as the connection takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from msgspec.structs import replace
from twisted.python.failure import Failure

from ..codec.protobuf import encode_request
from ..document import DocumentArray
from ..errors import FlowError
from ..message import Header, Request
from ..pump import Pump
from ..worker.messages import not_sendable

__all__ = ["Outgoing"]

Write = Callable[[bytes, int, bool], object]
"""Writes a message: its bytes; by how much of `AHEAD` it makes room when it has been taken, which is passed to
`Outgoing.more`; and whether it is the last."""


@final
class Outgoing:
    """See the module. Used on the reactor alone. A request that is whole is one message.

    :param request: what is sent.
    :raises Exception: if its first message cannot be encoded.
    """

    def __init__(self, request: Request) -> None:
        nothing = DocumentArray()
        self._next = replace(
            request, header=Header(""), docs=nothing, groundtruths=nothing, parameters={}, parts=None, timeout=None,
            stream=False, pending=True,
        )  # fmt: skip
        self._pump = None if request.parts is None else Pump(request.parts, self._put, self._ended)
        self._first = encode_request(replace(request, parts=None, pending=self._pump is not None))

    def start(self, write: Write, fail: Callable[[FlowError], object]) -> None:
        """Send what is there.

        :param write: writes a message.
        :param fail: told why no more can be sent.
        """
        self._write, self._fail = write, fail
        write(self._first, 0, self._pump is None)
        if self._pump is not None:
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
            encoded = encode_request(message)
        except Exception as raised:  # what the caller has put there
            self.stop()
            self._fail(not_sendable(raised, message, "the request"))
        else:
            self._write(encoded, cost, False)

    def _ended(self, failure: Failure | None) -> None:
        if failure is None:
            self._write(encode_request(replace(self._next, pending=False)), 0, True)
        elif isinstance(failure.value, FlowError):
            self._fail(failure.value)  # else it was cancelled: nobody waits for the answer
