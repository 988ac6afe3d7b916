"""A request as lines of JSON: a document each, and before them, where more is to be said, a line that is a request."""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections.abc import Generator

import msgspec
from msgspec import Raw
from zope.interface import moduleProvides

from ..document.check import Counter
from ..document.spelling import camel
from ..errors import FlowError
from ..interfaces import ICodec
from ..limits import Limits
from ..message import Request
from . import json
from .json import content_type, decode_response, encode_response, endpoint_at, may_be_part
from .tolerance import OF_A_REQUEST

__all__ = [
    "content_type",
    "decode_in_steps",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "endpoint_at",
    "may_be_part",
]

moduleProvides(ICodec)

_LARGE, _STEP = 1 << 16, 1 << 15  # bytes: what has more is read in steps of so many
_LINES = 1000  # of a step, at most

_keys = msgspec.json.Decoder(dict[str, Raw]).decode


def decode_request(body: bytes, endpoint: str | None, limits: Limits, request_id: str = "") -> Request:
    """See `ICodec`."""
    steps = _in_steps(body, endpoint, limits, request_id)
    while True:
        try:
            next(steps)
        except StopIteration as read:
            request: Request = read.value
            return request


def decode_in_steps(
    body: bytes, endpoint: str | None, limits: Limits, request_id: str = ""
) -> Generator[None, None, Request] | None:
    """See `ICodec`."""
    return _in_steps(body, endpoint, limits, request_id) if len(body) > _LARGE else None


def _in_steps(body: bytes, endpoint: str | None, limits: Limits, request_id: str) -> Generator[None, None, Request]:
    request: Request | None = None
    counter, batch, size = Counter(limits), list[bytes](), 0
    for number, line in enumerate(io.BytesIO(body.removeprefix(BOM_UTF8)), 1):
        if number % _LINES == 0 or size > _STEP:
            if request is not None:
                _take(batch, request, limits, counter)
            batch, size = [], 0
            yield
        if line.isspace():
            continue
        if request is None:
            whole = _is_request(line)
            request = json.decode_request(line if whole else b"{}", endpoint, limits, request_id)
            counter.take(len(request.docs))
            if whole:
                continue
        batch.append(line)
        size += len(line)
    if request is None:
        return json.decode_request(b"{}", endpoint, limits, request_id)
    _take(batch, request, limits, counter)
    return request


def _take(lines: list[bytes], request: Request, limits: Limits, counter: Counter) -> None:
    """Add the documents that *lines* are to *request*."""
    try:
        if lines:
            request.docs.extend(json.read_documents(b",".join(lines), "/data", len(request.docs), limits, counter))
    except FlowError as refused:
        refused.request_id = request.request_id
        raise


def _is_request(line: bytes) -> bool:
    try:
        return any(camel(key) in OF_A_REQUEST for key in _keys(line))
    except msgspec.DecodeError:
        return False


def encode_request(request: Request) -> bytes:
    """See `ICodec`."""
    return json.encode_request(request) + b"\n"
