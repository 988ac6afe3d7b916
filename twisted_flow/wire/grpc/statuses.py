"""How a call ends: its status, in words and numbers, and as trailers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

__all__ = [
    "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "NAMES", "OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNIMPLEMENTED",
    "UNKNOWN", "CallFault", "of_http2", "percent_decoded", "percent_encoded", "status_number",
]  # fmt: skip

NAMES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = (
    NAMES.index(name)
    for name in "OK CANCELLED UNKNOWN DEADLINE_EXCEEDED RESOURCE_EXHAUSTED UNIMPLEMENTED INTERNAL UNAVAILABLE".split()
)
_OF_HTTP2 = {7: UNAVAILABLE, 8: CANCELLED, 11: RESOURCE_EXHAUSTED, 12: NAMES.index("PERMISSION_DENIED")}
_NOT_PLAIN = re.compile(rb"[^ -$&-~]")


class CallFault(Exception):
    """A call ends with another status than OK.

    :param code: the status's number.
    """

    def __init__(self, code: int, detail: str, trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(detail)
        self.code, self.detail, self.trailers = code, detail, tuple(trailers)


def status_number(name: str) -> int:
    """The number of the status called *name*."""
    return NAMES.index(name)


def of_http2(code: int) -> int:
    """The status of a call whose stream was reset with *code*."""
    return _OF_HTTP2.get(code, INTERNAL)


def percent_encoded(text: str) -> bytes:
    """*text* as ``grpc-message`` has it: UTF-8, where all but printable ASCII, and %, is percent-encoded."""
    return _NOT_PLAIN.sub(lambda found: b"%%%02X" % found[0][0], text.encode("utf-8", "replace"))


def percent_decoded(message: bytes) -> str:
    """The text that ``grpc-message`` says."""
    return unquote_to_bytes(message).decode("utf-8", "replace")
