"""A RequestProto taken apart: the documents read, and the rest as it stood. See `document.protobuf.quick`."""

from __future__ import annotations

from struct import Struct as Layout
from typing import Any

from google.protobuf.message import DecodeError
from msgspec import Struct

from ..document import Document, DocumentArray
from ..document.protobuf.alike import read_alike
from ..document.protobuf.descriptor import message
from ..document.protobuf.quick import ODD, read_document, read_parameters
from ..document.protobuf.wire import Unusual, key_of, long_size, tags_of
from ..errors import BadRequest

__all__ = ["Envelope", "RequestProto", "bad_request", "taken_apart"]

RequestProto = message("jina.RequestProto")
_DataRequestProto = tags_of("jina.RequestProto.DataRequestProto")
_DOCS, _GROUNDTRUTHS = key_of(_DataRequestProto["docs"]), key_of(_DataRequestProto["groundtruths"])
_KEYS = {name: key_of(tag) for name, tag in tags_of("jina.RequestProto").items()}
_REQUEST_ID, _DATA, _HEADER, _ROUTES = (_KEYS[name] for name in ("request_id", "data", "header", "routes"))
_PARAMETERS, _TIMEOUT, _CONTROL = _KEYS["parameters"], _KEYS["timeout"], _KEYS["control"]
_BYTES = {_KEYS[name]: name for name in ("header", "control", "status")}
_double = Layout("<d").unpack_from


class Envelope(Struct):
    """What is in a RequestProto; where something is missing, its default. Bytes are messages that are not read yet."""

    docs: DocumentArray
    groundtruths: DocumentArray
    different: list[Document]
    """Of `docs`, those that are not laid out as the one before."""
    request_id: str = ""
    header: bytes | None = None
    parameters: dict[str, Any] = {}
    timeout: float = 0.0
    control: bytes | None = None
    routes: list[bytes] = []
    status: bytes | None = None


def taken_apart(body: bytes) -> Envelope:
    """What *body* says.

    :raises BadRequest: if it is not a RequestProto.
    """
    try:
        try:
            return _read(body)
        except ODD:
            return _read(_plainest(body))
    except (DecodeError, RecursionError, *ODD) as wrong:
        raise bad_request(wrong) from None


def bad_request(wrong: Exception) -> BadRequest:
    """The error that says that something is no RequestProto, as *wrong* tells."""
    return BadRequest(f"not a RequestProto: {wrong}")


def _plainest(body: bytes) -> bytes:
    """The same message as protobuf itself would write it: all in order, nothing twice, nothing unknown."""
    proto = RequestProto.FromString(body)
    proto.DiscardUnknownFields()
    plainest: bytes = proto.SerializeToString()
    return plainest


def _read(body: bytes) -> Envelope:
    envelope = Envelope(DocumentArray(), DocumentArray(), [])
    at, end, data = 0, len(body), False
    while at < end:
        key = body[at]
        at += 1
        if key > 127:
            key |= body[at] << 8
            at += 1
        if key == _TIMEOUT:
            (envelope.timeout,) = _double(body, at)
            at += 8
            continue
        size = body[at]
        at += 1
        if size > 127:
            size, at = long_size(body, at - 1)
        stop = at + size
        if stop > end:
            raise Unusual("cut off")
        if key == _REQUEST_ID:
            envelope.request_id = body[at:stop].decode()
        elif key == _DATA and envelope.control is None:
            _read_data(body, at, stop, envelope)
            data = True
        elif key == _ROUTES:
            envelope.routes.append(body[at:stop])
        elif key in _BYTES and getattr(envelope, _BYTES[key]) is None and not (data and key == _CONTROL):
            setattr(envelope, _BYTES[key], body[at:stop])
        elif key == _PARAMETERS and not envelope.parameters:
            envelope.parameters = read_parameters(body, at, stop)
        else:
            raise Unusual("unknown, or to be merged")
        at = stop
    return envelope


def _read_data(body: bytes, at: int, end: int, envelope: Envelope) -> None:
    docs = envelope.docs
    while at < end:
        begin, key, size = at, body[at], body[at + 1]
        at += 2
        if size > 127:
            size, at = long_size(body, at - 1)
        stop = at + size
        if stop > end:
            raise Unusual("cut off")
        if key == _DOCS:
            document = read_document(body, at, stop)
            docs.append(document)
            envelope.different.append(document)
            if stop < end:
                stop = read_alike(body, begin, at, stop, end, docs)
        elif key == _GROUNDTRUTHS:
            envelope.groundtruths.append(read_document(body, at, stop))
        else:
            raise Unusual("unknown")
        at = stop
