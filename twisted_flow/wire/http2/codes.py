"""The numbers of RFC 9113, and what a peer has done wrong in their words."""

from __future__ import annotations

__all__ = [
    "ACK", "CANCEL", "COMPRESSION_ERROR", "CONTINUATION", "DATA", "ENABLE_PUSH", "END_HEADERS", "END_STREAM",
    "ENHANCE_YOUR_CALM", "FLOW_CONTROL_ERROR", "FRAME_SIZE_ERROR", "GOAWAY", "HEADERS", "HTTP_1_1_REQUIRED",
    "INITIAL_WINDOW", "INITIAL_WINDOW_SIZE", "INTERNAL_ERROR", "MAX_CONCURRENT_STREAMS", "MAX_FRAME_SIZE",
    "MAX_HEADER_LIST_SIZE", "MOST_WINDOW", "NAMES", "NO_ERROR", "PADDED", "PING", "PREFACE", "PRIORITY",
    "PRIOR_KNOWLEDGE", "PROTOCOL_ERROR", "PUSH_PROMISE", "REFUSED_STREAM", "RST_STREAM", "SETTINGS",
    "SETTINGS_TIMEOUT", "SHORTEST_FRAME_SIZE", "STREAM_CLOSED", "WINDOW_UPDATE", "WITH_PRIORITY", "ConnectionFault",
    "StreamFault",
]  # fmt: skip

PRIOR_KNOWLEDGE = b"PRI * HTTP/2.0\r\n\r\n"
"""What looks like the head of an HTTP/1 request, and begins the preface (section 3.4)."""
PREFACE = PRIOR_KNOWLEDGE + b"SM\r\n\r\n"

# Types of frames (section 6).
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

# Their flags.
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, WITH_PRIORITY = 0x4, 0x8, 0x20

# Settings (section 6.5.2).
ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(2, 7)

# Errors (section 7).
NAMES = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
(
    NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
    REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, _, ENHANCE_YOUR_CALM, _, HTTP_1_1_REQUIRED,
) = range(14)  # fmt: skip

INITIAL_WINDOW = 65535
"""Bytes that may be sent on the connection, and on each stream, until more is given (section 6.9.2)."""
MOST_WINDOW = 2**31 - 1
SHORTEST_FRAME_SIZE = 2**14
"""Bytes of a frame's payload that everybody takes."""


class ConnectionFault(Exception):
    """The peer has broken a rule after which the connection cannot go on (section 5.4.1).

    :param code: of the GOAWAY that it gets.
    """

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class StreamFault(Exception):
    """The peer has broken a rule on one stream (section 5.4.2).

    :param code: of the RST_STREAM that it gets.
    """

    def __init__(self, stream: int, code: int, detail: str) -> None:
        super().__init__(detail)
        self.stream, self.code, self.detail = stream, code, detail
