"""A request as lines of JSON: a document each, and before them, where more is to be said, a line that is a request."""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections.abc import Generator

import msgspec
from msgspec import Raw
from msgspec.structs import replace
from zope.interface import moduleProvides

from ..document import DocumentArray
from ..document.spelling import camel
from ..errors import BadRequest, FlowError, PayloadTooLarge, ValidationError
from ..interfaces import ICodec
from ..limits import Limits
from ..message import Request
from . import json
from .documents import encode_documents
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

_LARGE = 1 << 16  # bytes: what has more is read in steps
_LINES = 1000  # of a step

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
    head = b"{}"
    lines: list[bytes] = []
    for number, line in enumerate(io.BytesIO(body.removeprefix(BOM_UTF8)), 1):
        if number % _LINES == 0:
            yield
        if line.isspace():
            continue
        if not lines and head == b"{}" and _is_request(line):
            head = line
            continue
        lines.append(line)
        if len(lines) > limits.max_documents:
            raise PayloadTooLarge(f"more than {limits.max_documents} documents")
    request = yield from _read(head, endpoint, limits, request_id)
    try:
        if request.docs or request.groundtruths:
            raise ValidationError.at("/data", "of a first line has to be empty: each document has a line of its own")
        documents = yield from _read(b'{"data":[%b]}' % b",".join(lines), "/", limits, request.request_id)
        if len(documents.docs) != len(lines):
            raise BadRequest(f"{len(lines)} lines are {len(documents.docs)} documents: each line has to be one")
    except FlowError as refused:
        refused.request_id = request.request_id
        raise
    return replace(request, docs=documents.docs)


def _read(body: bytes, endpoint: str | None, limits: Limits, request_id: str) -> Generator[None, None, Request]:
    steps = json.decode_in_steps(body, endpoint, limits, request_id)
    if steps is None:
        return json.decode_request(body, endpoint, limits, request_id)
    return (yield from steps)


def _is_request(line: bytes) -> bool:
    try:
        return any(camel(key) in OF_A_REQUEST for key in _keys(line))
    except msgspec.DecodeError:
        return False


def encode_request(request: Request) -> bytes:
    """See `ICodec`."""
    bare = replace(request, docs=DocumentArray(), groundtruths=DocumentArray())
    documents = encode_documents(request.docs, "dense", Limits())
    return b"\n".join([json.encode_request(bare), *documents, b""])
