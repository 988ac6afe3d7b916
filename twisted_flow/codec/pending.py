"""Requests that come in several JSON messages: all but the last say ``"status": {"code": 1}``."""

from __future__ import annotations

import re

from ..errors import ValidationError
from ..message import Status, StatusCode

__all__ = ["PENDING", "is_pending", "may_be_part"]

PENDING = Status(StatusCode.PENDING)
"""What they say."""

_SAID = re.compile(rb'"status"\s*:\s*\{[^{}]*"code"\s*:\s*1\b')


def may_be_part(body: bytes) -> bool:
    """See `ICodec`."""
    return b'"status"' in body and _SAID.search(body) is not None


def is_pending(status: Status) -> bool:
    """Whether others follow the message that says *status*.

    :raises ValidationError: if that makes no sense in a request.
    """
    if status.code not in (StatusCode.SUCCESS, StatusCode.PENDING):
        raise ValidationError.at("/status/code", "of a request is 0, or 1 where more messages of it follow")
    return status.code == StatusCode.PENDING
