"""What the head of a call says."""

from __future__ import annotations

from typing import final

from msgspec import Struct

from ...wire.grpc.messages import known_encoding
from ...wire.grpc.statuses import DEADLINE_EXCEEDED, INTERNAL, CallFault
from ...wire.grpc.timeouts import read_timeout
from ...wire.http2.fields import Fields
from ..request_id import request_id_in
from ..trace_context import trace_in

__all__ = ["CallHead", "NotGRPC", "read_call_head"]

_CONTENT_TYPE = b"application/grpc"


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
    traceparent: str = ""
    """W3C Trace Context."""
    tracestate: str = ""
    fault: CallFault | None = None
    """Why it cannot be answered."""


class NotGRPC(Exception):
    """A request of HTTP/2 is no call of gRPC."""


def read_call_head(fields: Fields) -> CallHead:
    """What *fields* say.

    :raises NotGRPC: where it is no call of gRPC.
    """
    said: dict[bytes, bytes] = {}
    for name, value in fields.pairs:
        said.setdefault(name, value)
    content_type = said.get(b"content-type", b"")
    if fields.pseudo[b":method"] != b"POST" or content_type[:16] != _CONTENT_TYPE or content_type[16:17] not in b"+;":
        raise NotGRPC
    encoding, timeout = said.get(b"grpc-encoding", b"identity").decode("latin-1"), None
    fault: CallFault | None = None
    try:
        known_encoding(encoding)
        if b"grpc-timeout" in said:
            timeout = read_timeout(said[b"grpc-timeout"])
            if timeout is None:
                raise CallFault(INTERNAL, "grpc-timeout is at most eight digits and one of H, M, S, m, u, n")
            if not timeout:
                raise CallFault(DEADLINE_EXCEEDED, "Deadline Exceeded")
    except CallFault as raised:
        fault = raised
    return CallHead(
        method=fields.pseudo[b":path"].decode("latin-1"),
        timeout=timeout,
        encoding=encoding,
        request_id=request_id_in(said.get(b"x-request-id")),
        traceparent=trace_in(said.get(b"traceparent")),
        tracestate=said.get(b"tracestate", b"").decode("latin-1"),
        fault=fault,
    )
