"""The answer to a call, as its stream has it: fields, messages, trailers."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import final

from ...answer import Answer, Entry, refuse
from ...errors import FlowError
from ...wire.grpc.messages import ENCODINGS, framed
from ...wire.grpc.metadata import OURS, SERVER
from ...wire.grpc.statuses import UNIMPLEMENTED, CallFault, percent_encoded, status_number
from ...wire.http2.fields import block, status
from ...wire.http2.stream import Stream
from .failures import trailers_of

__all__ = ["BEGIN", "BEGIN_OURS", "Talk"]

_ALONE = status(200) + block([(b"content-type", b"application/grpc")])
_ACCEPTED = block([(b"grpc-accept-encoding", ENCODINGS.encode())])
BEGIN = _ALONE + _ACCEPTED
"""The fields that a call's answer begins with."""
BEGIN_OURS = BEGIN + block([(SERVER.encode(), OURS.encode())])
"""The same for who has to know which server it is."""
_OK = block([(b"grpc-status", b"0")])


@final
class Talk:
    """See the module.

    :param entry: where the call came in.
    """

    __slots__ = ("_begun", "entry", "over", "stream")

    def __init__(self, stream: Stream, entry: Entry) -> None:
        self.stream, self.entry = stream, entry
        self._begun = False
        self.over = False
        """Whether it has ended: nothing more is sent."""

    def begin(self, fields: bytes = BEGIN) -> None:
        """Send the first *fields*, a header block."""
        if not self._begun:
            self._begun = True
            self.stream.headers(fields)

    def send(self, message: bytes) -> None:
        """Send a message."""
        self.begin()
        self.stream.send(framed(message))

    def finish(self) -> None:
        """End well."""
        self.begin()
        self._end(_OK)

    def fail(self, fault: CallFault) -> None:
        """End with another status than OK."""
        said = [(b"grpc-status", b"%d" % fault.code), (b"grpc-message", percent_encoded(fault.detail))]
        accepted = _ACCEPTED if fault.code == UNIMPLEMENTED else b""
        self._end(block([*said, *fault.trailers]) + accepted)

    def _end(self, trailers: bytes) -> None:
        if self.over:
            return
        self.over = True
        if self._begun:
            self.stream.finish(trailers)
        else:  # trailers alone: they are the first fields too
            self.stream.headers(_ALONE + trailers)
            self.stream.finish()

    def refuse(self, error: FlowError) -> None:
        """End because of *error*, which is in the log then."""
        self.answer(refuse(error, self.entry))

    def answer(self, answered: Answer) -> None:
        """Send a whole answer, and end."""
        error = answered.error
        if error is None and not self._begun:
            self.over = True
            self.stream.answer(BEGIN, framed(answered.body), _OK)
        elif error is None:
            self.send(answered.body)
            self._end(_OK)
        else:
            trailers = trailers_of(error, answered.request_id)
            self.fail(CallFault(status_number(error.grpc_status), error.detail, encoded(trailers)))


def encoded(metadata: Iterable[tuple[str, str | bytes]]) -> list[tuple[bytes, bytes]]:
    """*metadata* as fields: what is binary in base64."""
    return [
        (name.encode(), b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode())
        for name, value in metadata
    ]
