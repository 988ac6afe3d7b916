"""A call on the lane that grpcio's server behind it answers: its fields and bytes are passed on, both ways."""

from __future__ import annotations

from typing import Any, cast, final

from zope.interface import implementer

from ...answer import Entry
from ...wire.grpc.metadata import PEER, PRINCIPAL, RESERVED
from ...wire.grpc.statuses import UNAVAILABLE, CallFault
from ...wire.http2.codes import CANCEL
from ...wire.http2.fields import Fields, block
from ...wire.http2.interfaces import IStreamListener
from ...wire.http2.stream import Stream
from ..request_id import as_field
from .behind import Behind
from .call import ICall
from .talk import Talk

__all__ = ["RelayedCall", "opening_of"]


@final
@implementer(ICall)
class RelayedCall:
    """One call. Bytes are given back to the window of one side when the other one has room for more.

    :param stream: the caller's.
    :param opening: see `opening_of`.
    """

    def __init__(self, stream: Stream, opening: bytes, entry: Entry, behind: Behind) -> None:
        self._stream, self._talk, self._behind = stream, Talk(stream, entry), behind
        self._answer = _Answer(self, self._talk, stream)
        self._there: Stream | None = None
        self._owed = 0
        self._release = entry.hold(self.revoke)
        connection = behind.connection
        if connection is None or not connection.usable:
            self._talk.fail(CallFault(UNAVAILABLE, "the service is not there for a moment"))
            self._release()
            return
        caller = entry.caller
        if caller is not None:
            opening += block([(PRINCIPAL.encode(), as_field(caller.principal or "").encode())])
        self._there = connection.http2.open(opening, self._answer)
        behind.began()

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        there = self._there
        if there is None:
            self._stream.credit(end - at)
            return
        there.send(data[at:end])
        self._owed += end - at
        if not there.full:
            self.taken()

    def taken(self) -> None:
        """What came has been passed on."""
        self._stream.credit(self._owed)
        self._owed = 0

    def ended(self) -> None:
        """See `IStreamListener`."""
        if self._there is not None:
            self._there.finish()

    def roomy(self) -> None:
        """See `IStreamListener`: the caller has room for more of the answer."""
        self._answer.taken()

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""
        self.over()

    @property
    def alone(self) -> bool:
        """Whether the server behind is gone."""
        return self._there is not None and self._there.connection.ended

    def over(self) -> None:
        """There is no more to pass on: the call has ended, or either side is gone."""
        there, self._there = self._there, None
        self._talk.over = True
        self._release()
        if there is not None:
            there.reset(CANCEL)
            self._behind.ended()

    def revoke(self) -> None:
        """Who calls may do so no more."""
        self._talk.refuse(self._talk.entry.ended())
        self.over()

    def drain(self) -> None:
        """It is answered all the same."""

    def sweep(self) -> None:
        """See `ICall`: nothing of it is kept here."""

    def cut(self) -> None:
        """End."""
        self._talk.fail(CallFault(UNAVAILABLE, "the server stopped before the call was answered"))
        self.over()


@final
@implementer(IStreamListener)
class _Answer:
    """What the server behind answers."""

    def __init__(self, call: RelayedCall, talk: Talk, stream: Stream) -> None:
        self._call, self._talk, self._stream = call, talk, stream
        self._owed = 0
        self._trailers: bytes | None = None
        self._begun = False

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""
        said = cast("bytes | None", fields.meaning)
        if said is None:  # the same fields come again and again
            fields.meaning = said = block([*fields.pseudo.items(), *fields.pairs])
        if self._begun:
            self._trailers = said
        else:
            self._begun = True
            self._talk.begin(said)

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        self._stream.send(data[at:end])
        self._owed += end - at
        if not self._stream.full:
            self.taken()

    def taken(self) -> None:
        """What came has been passed on."""
        there = self._call._there
        if there is not None:
            there.credit(self._owed)
        self._owed = 0

    def ended(self) -> None:
        """See `IStreamListener`."""
        self._stream.finish(self._trailers or b"")
        self._call.over()

    def lost(self, code: int) -> None:
        """See `IStreamListener`: the server has reset the call, or is gone."""
        if self._call.alone:
            self._talk.fail(CallFault(UNAVAILABLE, "the service was lost"))
        else:
            self._stream.reset(code)
        self._call.over()

    def roomy(self) -> None:
        """See `IStreamListener`: the server has room for more of the call."""
        self._call.taken()


def opening_of(fields: Fields, transport: Any) -> bytes:
    """The header block that opens a call like that of *fields* at the server behind, for who calls over *transport*."""
    passed = [pair for pair in fields.pairs if not pair[0].startswith(RESERVED.encode())]
    return block([*fields.pseudo.items(), *passed, (PEER.encode(), _peer(transport).encode())])


def _peer(transport: Any) -> str:
    """Who has called, as grpcio's ``context.peer()`` has it."""
    address = transport.getPeer()
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        return "unix:"
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
