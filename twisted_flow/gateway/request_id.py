"""The id that a client, or a proxy in front of it, gives a request in its head: X-Request-ID."""

from __future__ import annotations

import re

from ..limits import LONGEST_NAME
from ..telemetry.printable import printable

__all__ = ["as_field", "request_id_in"]

_REQUEST_ID = re.compile(rb"[!-~](?:[ -~]{0,126}[!-~])?")


def request_id_in(value: bytes | None) -> str:
    """The id of a request that an X-Request-ID field names; '' where there is none that may be."""
    return value.decode() if value is not None and _REQUEST_ID.fullmatch(value) else ""


def as_field(request_id: str) -> str:
    """*request_id*, which may be any text, as a header field or metadata can have it: line ends and all else that is no
    printable ASCII are escaped.
    """
    return printable(request_id, LONGEST_NAME).encode("ascii", "backslashreplace").decode()
