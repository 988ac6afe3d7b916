"""Failures of calls: a gRPC status, and trailers that say more."""

from __future__ import annotations

from datetime import timedelta

from ...answer import Answer
from ...document.protobuf.descriptor import message
from ...errors import FlowError
from ...message import Request
from ...wire.grpc.statuses import status_number
from ..request_id import as_field

__all__ = ["trailers_of", "write_status"]


def write_status(error: FlowError, request_id: str, request: Request | None) -> Answer:
    """See `Entry`: the gRPC status says it all, so there is no body."""
    return Answer(b"", "", error, request_id)


def trailers_of(error: FlowError, request_id: str) -> list[tuple[str, str | bytes]]:
    """The trailers that say more: the error's name, the request's id, and when to try again. What is bytes has a name
    that ends with -bin.
    """
    trailers: list[tuple[str, str | bytes]] = [("x-error", error.name)]
    if request_id:
        trailers.append(("x-request-id", as_field(request_id)))
    if error.retry_after is not None:
        status = message("google.rpc.Status")(code=status_number(error.grpc_status), message=error.detail)
        info = message("google.rpc.RetryInfo")()
        info.retry_delay.FromTimedelta(timedelta(seconds=error.retry_after))
        status.details.add().Pack(info)
        trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    return trailers
