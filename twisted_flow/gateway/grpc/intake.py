"""The messages of a call, as they come in: what is kept of them is counted, and what is taken makes room for more."""

from __future__ import annotations

from typing import final

from ...limits import Limits
from ...wire.grpc.messages import MessageReader
from ...wire.grpc.statuses import INTERNAL, CallFault
from ...wire.http2.stream import Stream
from ..buffered import Account

__all__ = ["Intake"]


@final
class Intake:
    """See the module.

    Bytes of a message that is not all there are given back to the window at once: else one that is larger could not
    come in. Those of whole messages are when they are taken.

    :param encoding: see `MessageReader`.
    :param account: counts what all calls of the connection keep.
    """

    __slots__ = ("_account", "_counted", "_most", "_owed", "_reader", "_stream", "next", "next_size")

    def __init__(self, stream: Stream, encoding: str, limits: Limits, account: Account) -> None:
        self._stream, self._account = stream, account
        self._reader = reader = MessageReader(limits.max_body, encoding)
        self._most = limits.max_body + limits.max_in_flight_size
        self._owed = self._counted = 0
        self.next, self.next_size = reader.next, reader.next_size
        """See `MessageReader`."""

    def came(self, data: bytes, at: int, end: int) -> None:
        """Bytes have come: see `IStreamListener.data`. When what can be taken of them has been, `settle`."""
        self._reader.feed(data, at, end)
        self._owed += end - at

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

    def close(self) -> None:
        """Nothing is kept any more."""
        if self._counted:
            self._account.add(-self._counted)
            self._counted = 0
