"""The messages of a call, as they come in: what is kept of them is counted, and what is taken makes room for more."""

from __future__ import annotations

from typing import final

from ...errors import RequestTimeout
from ...limits import Limits
from ...wire.grpc.messages import MessageReader
from ...wire.grpc.statuses import INTERNAL, CallFault
from ...wire.http2.stream import Stream
from ..buffered import Account

__all__ = ["BEHIND", "Intake", "late"]

BEHIND = 1.0
"""Seconds from a call's head to its first request, where the server stops."""


def late(timeout: float) -> RequestTimeout:
    """The error for a message of which nothing has come for so many seconds."""
    return RequestTimeout(f"no byte of the message for {timeout:g} s")


@final
class Intake:
    """See the module.

    Bytes of a message that is not all there are given back to the window at once: else one that is larger could not
    come in. Those of whole messages are when they are taken.

    :param encoding: see `MessageReader`.
    :param account: counts what all calls of the connection keep.
    """

    __slots__ = (
        "_account",
        "_closed",
        "_counted",
        "_most",
        "_owed",
        "_reader",
        "_since",
        "_stream",
        "next",
        "next_size",
    )

    def __init__(self, stream: Stream, encoding: str, limits: Limits, account: Account) -> None:
        self._stream, self._account = stream, account
        self._reader = reader = MessageReader(limits.max_body, encoding)
        self._most = limits.max_body + limits.max_in_flight_size
        self._owed = self._counted = 0
        self._since = 0  # the second in which something came last
        self._closed = False
        self.next, self.next_size = reader.next, reader.next_size
        """See `MessageReader`."""

    def came(self, data: bytes, at: int, end: int) -> None:
        """Bytes have come: see `IStreamListener.data`. When what can be taken of them has been, `settle`."""
        if self._closed:
            self._stream.credit(end - at)
            return
        self._reader.feed(data, at, end)
        self._owed += end - at
        self._since = self._stream.connection.second

    def check_end(self) -> None:
        """No more will come.

        :raises CallFault: if a message has begun to come in that is not all there.
        """
        if self._reader.held:
            raise CallFault(INTERNAL, "the stream has ended in the middle of a message")

    def settle(self) -> None:
        """Count what is kept.

        :raises QueueFull: if there is no room for it.
        """
        if self._closed:
            return
        reader = self._reader
        held = reader.held
        if held:
            reader.keep()
        waits = 0 if reader.starved else min(held, self._owed)
        if self._owed > waits:
            self._stream.credit(self._owed - waits)
            self._owed = waits
        more = held - self._counted
        if more:
            account = self._account
            if more > 0 and (not account.total.has_room(more) or account.bytes + more > self._most):
                raise account.total.refusal()
            account.add(more)
            self._counted = held

    def quiet(self) -> int:
        """For how many seconds nothing has come of a message that is not all there; 0: there is none."""
        waits = self._counted and self._reader.starved and not self._closed
        return self._stream.connection.second - self._since if waits else 0

    def close(self) -> None:
        """Nothing is kept any more, nor taken of what still comes."""
        self._closed = True
        self._account.add(-self._counted)
        self._counted = 0
        self._stream.credit(self._owed)
        self._owed = 0
