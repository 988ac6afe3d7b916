"""Finding out who makes a call, when its head has come and before its messages are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...errors import FlowError
from ...security.guard import Caller
from ...wire.http2.fields import Fields
from ...wire.http2.stream import NOBODY, Stream
from ..admission import Admission
from ..callers import OtherEnd
from .call import ICall
from .talk import Talk

if TYPE_CHECKING:
    from .lane import GRPCLane

__all__ = ["OPEN", "admitted"]

OPEN = frozenset(b"/grpc.health.v1.Health/" + name for name in (b"Check", b"List", b"Watch"))
"""Methods that anybody may call, without credentials."""


def admitted(lane: GRPCLane, stream: Stream, fields: Fields) -> Any:
    """What answers the call that *fields* open, whoever makes it: an `ICall`, or `NOBODY`."""
    if fields.pseudo[b":path"] in OPEN:
        return lane.begin(stream, fields, lane.anybody)
    lane.described(fields)  # what is no call at all is refused as such
    authorization = next((value for name, value in fields.pairs if name == b"authorization"), b"")
    try:
        asked = cast(OtherEnd, lane.other_end).admit("grpc", authorization)
    except FlowError as error:
        Talk(stream, lane.methods.entry).refuse(error)
        return NOBODY
    return (
        _AskingCall(lane, stream, fields, asked) if isinstance(asked, Deferred) else lane.begin(stream, fields, asked)
    )


@final
@implementer(ICall)
class _AskingCall:
    """A call of which it is not known yet who makes it. What comes of its messages is kept as it is, within the window
    that its stream has.
    """

    def __init__(self, lane: GRPCLane, stream: Stream, fields: Fields, asked: Deferred[Caller]) -> None:
        self._lane, self._stream, self._fields = lane, stream, fields
        self._come: list[bytes] = []
        self._size = 0
        self._ended = self._draining = False
        self.admission = Admission(asked, self.known)

    def known(self) -> None:
        """It is known now."""
        lane, stream, admission = self._lane, self._stream, self.admission
        self._count(-self._size)
        if admission.error is not None:
            stream.listener = NOBODY
            Talk(stream, lane.methods.entry).refuse(admission.error)
            for each in self._come:
                stream.credit(len(each))
            return
        call = stream.listener = lane.begin(stream, self._fields, admission.caller)
        for each in self._come:
            call.data(each, 0, len(each))
        if self._ended:
            call.ended()
        if (self._draining or lane.draining) and call is not NOBODY:
            call.drain()
        lane.flush()

    def _count(self, size: int) -> None:
        self._size += size
        self._lane.account.add(size)

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        self._come.append(bytes(data[at:end]))
        self._count(end - at)

    def ended(self) -> None:
        """See `IStreamListener`."""
        self._ended = True

    def roomy(self) -> None:
        """See `IStreamListener`."""

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""
        self.admission.cancel()
        self._count(-self._size)

    def drain(self) -> None:
        """See `ICall`."""
        self._draining = True

    def sweep(self) -> None:
        """See `ICall`: the guard has its own time."""

    def cut(self) -> None:
        """See `ICall`."""
        self.admission.cancel()
        self._count(-self._size)
        self._stream.listener = NOBODY
        entry = self._lane.methods.entry
        Talk(self._stream, entry).refuse(entry.ended())
