"""A call of gRPC from the client's side: what it sends, and what comes, message by message, to its status."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from zope.interface import implementer

from ..security.access import PLAIN, Access
from ..wire.grpc.messages import ENCODINGS, MessageReader, framed
from ..wire.grpc.metadata import OURS, SERVER
from ..wire.grpc.statuses import (
    CANCELLED,
    INTERNAL,
    OK,
    UNAVAILABLE,
    UNKNOWN,
    CallFault,
    of_http2,
    percent_decoded,
)
from ..wire.http2.codes import CANCEL, NO_ERROR, REFUSED_STREAM
from ..wire.http2.fields import Fields, block
from ..wire.http2.interfaces import IStreamListener
from ..wire.http2.stream import Stream

if TYPE_CHECKING:
    from .grpc_connection import GRPCConnection

__all__ = ["GRPCCall", "call_block"]


def call_block(address: str, method: str, access: Access = PLAIN) -> bytes:
    """The fields that open a call of *method* at *address*."""
    return block(
        [
            (b":method", b"POST"),
            (b":scheme", b"https" if access.tls else b"http"),
            (b":path", method.encode()),
            (b":authority", address.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", b"twisted-flow"),
            (b"grpc-accept-encoding", ENCODINGS.encode()),
            *((name.encode(), value.encode()) for name, value in access.headers),
        ]
    )


@final
@implementer(IStreamListener)
class GRPCCall:
    """One call.

    :param opening: see `call_block`.
    :param take: takes each message.
    :param over: told once why there are no more; None: it has ended well.
    :param roomy: called when all has left, where `full` was said.
    """

    def __init__(
        self,
        connection: GRPCConnection,
        opening: bytes,
        take: Callable[[bytes], object],
        over: Callable[[CallFault | None], object],
        roomy: Callable[[], object] = lambda: None,
    ) -> None:
        self._connection, self._deliver, self._over, self._roomy = connection, take, over, roomy
        self.ours = False
        """Whether the server is one of ours."""
        self._reader: MessageReader | None = None
        self._paused = self._taking = self._done = False
        self._owed = 0
        self._fault: CallFault | None = None
        self._stream: Stream = connection.http2.open(opening, self)

    @property
    def full(self) -> bool:
        """Whether so much waits to be sent that no more should be made."""
        return self._stream.full

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._stream.send(framed(message))

    def finish(self) -> None:
        """Send no more."""
        self._stream.finish()

    def pause(self, paused: bool) -> None:
        """Take no messages for now, or again; then the server cannot send on for long."""
        self._paused = paused
        if not paused:
            self._take()

    def cancel(self) -> None:
        """Want nothing more. `over` is not called."""
        self._done = True
        self._stream.reset(CANCEL)

    def headers(self, fields: Fields) -> None:
        """See `IStreamListener`."""
        status = fields.pseudo.get(b":status", b"")
        if status.startswith(b"1"):
            return
        said = dict(fields.pairs)
        if status:
            self.ours = said.get(SERVER.encode()) == OURS.encode()
            content_type = said.get(b"content-type", b"")
            if status != b"200" or not content_type.startswith(b"application/grpc"):
                self._fault = CallFault(UNAVAILABLE, f"not a server of gRPC: HTTP status {status.decode()}")
            self._reader = MessageReader(None, said.get(b"grpc-encoding", b"identity").decode("latin-1"))
        if b"grpc-status" in said:
            self._fault = self._fault or _fault_in(said)

    def data(self, data: bytes, at: int, end: int) -> None:
        """See `IStreamListener`."""
        self._owed += end - at
        if self._reader is None and not self._done:
            self._end(CallFault(INTERNAL, "the server has sent data before its first fields"))
            self._stream.reset(CANCEL)
            return
        if self._reader is None or self._done:
            self._credit()
            return
        self._reader.feed(data, at, end)
        self._take()

    def _take(self) -> None:
        reader = self._reader
        if reader is None or self._taking:
            return
        self._taking = True
        try:
            while not self._paused and not self._done and (message := reader.next()) is not None:
                self._deliver(message)
        except CallFault as fault:
            self._end(fault)
            self._stream.reset(CANCEL)
            return
        finally:
            self._taking = False
        reader.keep()
        if reader.starved:
            self._credit()
            if not self._stream.open_in:
                self._end(self._fault_at_end(reader))

    def _fault_at_end(self, reader: MessageReader) -> CallFault | None:
        if self._fault is None:
            return CallFault(UNAVAILABLE, "the stream ended without a status")
        if self._fault.code == OK:
            return CallFault(INTERNAL, "the stream ended in the middle of a message") if reader.held else None
        return self._fault

    def _credit(self) -> None:
        self._stream.credit(self._owed)
        self._owed = 0

    def ended(self) -> None:
        """See `IStreamListener`."""
        if self._reader is None:
            self._end(CallFault(INTERNAL, "the server has answered with trailers alone, which are none"))
        else:
            self._take()
        if self._stream.open_out:
            self._stream.reset(CANCEL)

    def lost(self, code: int) -> None:
        """See `IStreamListener`."""
        why = self._connection.why
        if why is not None:
            fault = CallFault(UNAVAILABLE, why)
        elif code == REFUSED_STREAM:
            fault = CallFault(UNAVAILABLE, "the server has refused the call")
        elif code == NO_ERROR and self._fault is not None:
            fault = self._fault
        else:
            status = of_http2(code)
            fault = CallFault(status, "cancelled by the server" if status == CANCELLED else "the stream was reset")
        self._end(fault)

    def roomy(self) -> None:
        """See `IStreamListener`."""
        self._roomy()

    def _end(self, fault: CallFault | None) -> None:
        if not self._done:
            self._done = True
            self._over(fault)


def _fault_in(fields: dict[bytes, bytes]) -> CallFault:
    """How the trailers *fields* say that the call has ended; that may be well."""
    number = fields[b"grpc-status"]
    code = int(number) if number.isdigit() and int(number) <= 16 else UNKNOWN
    return CallFault(code, percent_decoded(fields.get(b"grpc-message", b"")))
