"""Answers in parts on WebSocket and gRPC: each part is an answer itself, and all but the last have status PENDING."""

from __future__ import annotations

from ..document import DocumentArray
from ..entry import Answer, PartsForm
from ..interfaces import ICodec
from ..limits import Limits
from ..message import Request, Response, Status, StatusCode

__all__ = ["parts_as_messages"]

_PENDING = Status(StatusCode.PENDING)


def parts_as_messages(codec: ICodec) -> PartsForm:
    """The form of parts that *codec* writes."""

    def part(request: Request, docs: DocumentArray, limits: Limits) -> bytes:
        return codec.encode_response(Response(request, docs, DocumentArray(), [], _PENDING), limits)

    return PartsForm(codec.content_type, part, codec.encode_response, _as_it_is)


def _as_it_is(failure: Answer) -> bytes:
    """A failure is a message of its own already."""
    return failure.body
