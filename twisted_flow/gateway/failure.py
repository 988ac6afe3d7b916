"""Errors on WebSocket and gRPC streams: an answer with status ERROR, in the encoding of the request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from ..answer import Answer
from ..document import DocumentArray
from ..errors import FlowError
from ..interfaces import ICodec
from ..limits import Limits
from ..message import Request, Response, Route, bare_request, status_of

__all__ = ["error_writer"]

_LIMITS = Limits()  # there is nothing in an error that they could be passed by


def error_writer(codec: ICodec, gateway: str) -> Callable[[FlowError, str, Request | None], Answer]:
    """How to write an error in *codec*, for `Entry`.

    :param gateway: the gateway's id.
    """

    def write(error: FlowError, request_id: str, request: Request | None) -> Answer:
        request = request or bare_request(request_id)
        status, now = status_of(error), datetime.now(UTC)
        routes = [Route("gateway", gateway, now, now, status), *error.routes]
        response = Response(request, DocumentArray(), DocumentArray(), routes, status)
        try:
            body = codec.encode_response(response, _LIMITS)
        except Exception:  # an executor put something into the parameters that cannot be said
            request = replace(request, parameters={})
            body = codec.encode_response(replace(response, request=request), _LIMITS)
        return Answer(body, codec.content_type, error, request.request_id)

    return write
