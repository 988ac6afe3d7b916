"""What the head of a call says."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from typing import final

from msgspec import Struct

from ...wire.grpc.messages import ENCODINGS, known_encoding
from ...wire.grpc.statuses import CallFault
from ...wire.grpc.timeouts import read_timeout
from ...wire.http2.fields import Fields
from ..request_id import request_id_in

__all__ = ["CallHead", "read_call_head"]

_CONTENT_TYPE = b"application/grpc"
_OF_THE_PROTOCOL = frozenset((b"te", b"content-type", b"content-length", b"user-agent"))


@final
class CallHead(Struct, frozen=True, kw_only=True):
    """See the module."""

    method: str
    """Its path."""
    timeout: float | None = None
    """Seconds from when it came."""
    encoding: str = "identity"
    """How messages are compressed that say that they are."""
    request_id: str = ""
    """``x-request-id``, if it is a valid one."""
    fault: CallFault | None = None
    """Why it cannot be answered."""
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    """All that is not the protocol's own."""


def read_call_head(fields: Fields) -> CallHead | None:
    """What *fields* say; None where it is no call of gRPC."""
    content_type, encoding, timeout, request_id, fault = b"", b"identity", b"", "", None
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in fields.pairs:
        if name == b"content-type":
            content_type = value
        elif name == b"grpc-encoding":
            encoding = value
        elif name == b"grpc-timeout":
            timeout = value
        elif name not in _OF_THE_PROTOCOL and not name.startswith(b"grpc-"):
            if name == b"x-request-id" and not request_id:
                request_id = request_id_in(value)
            metadata += _metadata(name.decode(), value)
    if fields.pseudo[b":method"] != b"POST" or content_type[:16] != _CONTENT_TYPE or content_type[16:17] not in b"+;":
        return None
    try:
        known_encoding(encoding.decode("latin-1"))
    except CallFault as raised:
        fault = CallFault(raised.code, raised.detail, [(b"grpc-accept-encoding", ENCODINGS.encode())])
    return CallHead(
        method=fields.pseudo[b":path"].decode("latin-1"),
        timeout=read_timeout(timeout),
        encoding=encoding.decode("latin-1"),
        request_id=request_id,
        fault=fault,
        metadata=tuple(metadata),
    )


def _metadata(name: str, value: bytes) -> list[tuple[str, str | bytes]]:
    """A field as metadata have it: what is binary is in base64, may be several values in one, and lacks its padding."""
    if not name.endswith("-bin"):
        return [(name, value.decode("latin-1"))]
    found: list[tuple[str, str | bytes]] = []
    for each in value.split(b","):
        try:
            found.append((name, b64decode(each.strip() + b"=" * (-len(each.strip()) % 4), validate=True)))
        except NotBase64:
            return [(name, value)]
    return found
