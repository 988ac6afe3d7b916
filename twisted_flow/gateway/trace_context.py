"""The trace that a head names (W3C Trace Context, https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re

__all__ = ["trace_in"]

_PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def trace_in(value: bytes | None) -> str:
    """The trace that a ``traceparent`` field names; '' where it names none: then a new one begins."""
    return value.decode("latin-1") if value and len(value) < 512 and _PARENT.fullmatch(value) else ""
