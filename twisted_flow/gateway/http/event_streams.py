"""Answers in parts over HTTP: Server-Sent Events (WHATWG HTML, section 9.2), or a line of JSON for each document."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ...codec.documents import encode_documents
from ...document import DocumentArray
from ...entry import Answer, PartsForm
from ...limits import Limits
from ...message import Header, Request, Response, Route, Status

__all__ = ["EVENTS", "FORMS", "HEARTBEAT", "LINES", "STREAM_FIELDS"]

EVENTS, LINES = "text/event-stream", "application/jsonl"

HEARTBEAT = b":\n\n"
"""A comment: something for proxies to see while no part comes. There is none in lines of JSON."""

STREAM_FIELDS = ((b"Cache-Control", b"no-store"), (b"X-Accel-Buffering", b"no"))
"""Header fields of such answers: no proxy should keep them, or wait for more of them (X-Accel-Buffering is nginx's)."""


class _End(msgspec.Struct, rename="camel"):
    """The end of an answer in parts: all but its documents."""

    request_id: str
    header: Header
    routes: list[Route]
    status: Status


def _end(response: Response) -> bytes:
    request = response.request
    return msgspec.json.encode(_End(request.request_id, request.header, response.routes, response.status))


def _events(request: Request, docs: DocumentArray, limits: Limits) -> bytes:
    return b"".join([b"data: %b\n\n" % each for each in encode_documents(docs, request.arrays, limits)])


def _end_event(response: Response, limits: Limits) -> bytes:
    return b"event: end\ndata: %b\n\n" % _end(response)


def _error_event(failure: Answer) -> bytes:
    return b"event: error\ndata: %b\n\n" % failure.body


def _lines(request: Request, docs: DocumentArray, limits: Limits) -> bytes:
    return b"".join([b"%b\n" % each for each in encode_documents(docs, request.arrays, limits)])


def _end_line(response: Response, limits: Limits) -> bytes:
    return _end(response) + b"\n"


def _error_line(failure: Answer) -> bytes:
    return failure.body + b"\n"


FORMS: Mapping[str, PartsForm] = {
    EVENTS: PartsForm(EVENTS, _events, _end_event, _error_event),
    LINES: PartsForm(LINES, _lines, _end_line, _error_line),
}
"""By the media type that Accept names."""
