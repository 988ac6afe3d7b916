"""Errors as HTTP tells them: problem details (RFC 9457)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ...answer import Answer
from ...errors import FieldError, FlowError
from ...message import Request

__all__ = ["CONTENT_TYPE", "Problem", "write_problem"]

CONTENT_TYPE = "application/problem+json"


class Problem(Struct):
    """The body of every answer that is not a success."""

    type: str
    """A URI that stays the same for the same kind of error."""
    title: str
    status: int
    detail: str
    instance: str
    """The request's id, as it stands in the server's log."""
    retryable: bool
    """Whether the same request, sent again, may succeed."""
    errors: tuple[FieldError, ...] = ()
    """The invalid fields of the request, as JSON Pointers."""
    executor: str | UnsetType = UNSET
    """The executor that failed, if one did."""
    stacks: tuple[str, ...] | UnsetType = UNSET
    """The traceback, where the server says ``--debug``."""


def write_problem(error: FlowError, request_id: str, request: Request | None = None) -> Answer:
    """The answer that tells *error*: see `Entry`."""
    body = Problem(
        type=f"urn:twisted-flow:error:{error.name}",
        title=error.name,
        status=error.http_status,
        detail=error.detail or error.name,
        instance=request_id,
        retryable=error.retryable,
        errors=error.errors,
        executor=error.executor or UNSET,
        stacks=error.stacks or UNSET,
    )
    return Answer(msgspec.json.encode(body), CONTENT_TYPE, error, request_id)
