"""A RequestProto's fields: documents decoded, the rest as bytes. See `document.protobuf.quick`."""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct as Layout

from google.protobuf.message import DecodeError
from msgspec import Struct

from ..document import Document, DocumentArray
from ..document.protobuf.alike import read_alike
from ..document.protobuf.census import LARGE, Census
from ..document.protobuf.descriptor import message
from ..document.protobuf.quick import ODD, read_document, read_parameters
from ..document.protobuf.wire import Unusual, key_of, long_size, tags_of
from ..errors import BadRequest, PayloadTooLarge
from ..limits import Limits
from ..message import Parameters

__all__ = ["Envelope", "RequestProto", "bad_request", "parse_envelope", "parse_envelope_in_steps"]

RequestProto = message("jina.RequestProto")
_DataRequestProto = tags_of("jina.RequestProto.DataRequestProto")
_DOCS, _GROUNDTRUTHS = key_of(_DataRequestProto["docs"]), key_of(_DataRequestProto["groundtruths"])
_KEYS = {name: key_of(tag) for name, tag in tags_of("jina.RequestProto").items()}
_REQUEST_ID, _DATA, _HEADER, _ROUTES = (_KEYS[name] for name in ("request_id", "data", "header", "routes"))
_PARAMETERS, _CONTROL = _KEYS["parameters"], _KEYS["control"]
_TIMEOUT, _STREAM = _KEYS["timeout"], _KEYS["stream"]
_BYTES = {_KEYS[name]: name for name in ("header", "control", "status")}
_TEXTS = {_KEYS[name]: name for name in ("traceparent", "tracestate")}
_MOST_FIELDS = 10_000  # of a message; its documents are one of them
_SLICE = 1 << 15  # bytes of documents that are read in one step, unless one document has more
_double = Layout("<d").unpack_from


class Envelope(Struct):
    """What is in a RequestProto; where something is missing, its default. Bytes are messages that are not read yet."""

    docs: DocumentArray
    groundtruths: DocumentArray
    different: list[Document]
    """Of `docs`, those that are not laid out as the one before."""
    request_id: str = ""
    header: bytes | None = None
    parameters: Parameters = {}
    timeout: float = 0.0
    stream: bool = False
    traceparent: str = ""
    tracestate: str = ""
    control: bytes | None = None
    routes: list[bytes] = []
    status: bytes | None = None
    anew: bool = False
    """Whether it was read once more, from the beginning."""


def parse_envelope(body: bytes, limits: Limits) -> Envelope:
    """What *body* says.

    :raises BadRequest: if it is not a RequestProto.
    :raises PayloadTooLarge: if there is more in it than may be.
    """
    envelope = Envelope(DocumentArray(), DocumentArray(), [])
    try:
        try:
            for at, stop in _read(body, envelope, limits):
                _read_data(body, at, stop, stop, envelope, limits)
        except ODD:
            _read_plainest(body, envelope, limits)
    except (DecodeError, RecursionError, *ODD) as error:
        raise bad_request(error) from None
    return envelope


def parse_envelope_in_steps(body: bytes, envelope: Envelope, limits: Limits) -> Generator[None, None, None]:
    """The same into *envelope*, which is still empty, some documents at a time."""
    try:
        try:
            for at, stop in _read(body, envelope, limits):
                while at < stop:
                    at = _read_data(body, at, stop, min(stop, at + _SLICE), envelope, limits)
                    yield
        except ODD:
            _read_plainest(body, envelope, limits)
    except (DecodeError, RecursionError, *ODD) as error:
        raise bad_request(error) from None


def bad_request(error: Exception) -> BadRequest:
    """The BadRequest for a body that is no RequestProto, as *error* says."""
    return BadRequest(f"not a RequestProto: {error}")


def _read_plainest(body: bytes, envelope: Envelope, limits: Limits) -> None:
    """The same once protobuf itself has written the message: all in order, nothing twice, nothing unknown."""
    if len(body) > LARGE:
        Census(limits.max_values, limits.max_documents).take("jina.RequestProto", body, 0, len(body))
    proto = RequestProto.FromString(body)
    proto.DiscardUnknownFields()
    plainest: bytes = proto.SerializeToString()
    fresh = Envelope(DocumentArray(), DocumentArray(), [])
    for at, stop in _read(plainest, fresh, limits):
        _read_data(plainest, at, stop, stop, fresh, limits)
    fresh.anew = True
    for name in Envelope.__struct_fields__:
        setattr(envelope, name, getattr(fresh, name))


def _read(body: bytes, envelope: Envelope, limits: Limits) -> list[tuple[int, int]]:
    """Fill in *envelope* what *body* says, but for its documents: where those stand."""
    data: list[tuple[int, int]] = []
    at, end, left = 0, len(body), _MOST_FIELDS
    while at < end:
        key = body[at]
        at += 1
        left -= 1
        if not left:
            raise PayloadTooLarge(f"a message of more than {_MOST_FIELDS} fields")
        if key > 127:
            key |= body[at] << 8
            at += 1
        if key == _TIMEOUT:
            (envelope.timeout,) = _double(body, at)
            at += 8
            continue
        if key == _STREAM:
            if body[at] > 1:
                raise Unusual("a bool in another form")
            envelope.stream = bool(body[at])
            at += 1
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
            data.append((at, stop))
        elif key == _ROUTES:
            envelope.routes.append(body[at:stop])
        elif key in _TEXTS:
            setattr(envelope, _TEXTS[key], body[at:stop].decode())
        elif key in _BYTES and getattr(envelope, _BYTES[key]) is None and not (data and key == _CONTROL):
            setattr(envelope, _BYTES[key], body[at:stop])
        elif key == _PARAMETERS and not envelope.parameters:
            if size > LARGE:
                Census(limits.max_values, 0).take("google.protobuf.Struct", body, at, stop)
            envelope.parameters = read_parameters(body, at, stop)
        else:
            raise Unusual("unknown, or to be merged")
        at = stop
    return data


def _read_data(body: bytes, at: int, end: int, until: int, envelope: Envelope, limits: Limits) -> int:
    """Read the documents that begin between *at* and *until*: where the next one begins."""
    docs = envelope.docs
    while at < until:
        begin, key, size = at, body[at], body[at + 1]
        at += 2
        if size > 127:
            size, at = long_size(body, at - 1)
            if size > LARGE:
                census = Census(limits.max_values, limits.max_documents)
                census.take("jina.DocumentProto", body, at, min(at + size, end))
        stop = at + size
        if stop > end:
            raise Unusual("cut off")
        if key == _DOCS:
            document = read_document(body, at, stop)
            docs.append(document)
            envelope.different.append(document)
            if stop < until:
                stop = read_alike(body, begin, at, stop, until, docs)
        elif key == _GROUNDTRUTHS:
            envelope.groundtruths.append(read_document(body, at, stop))
        else:
            raise Unusual("unknown")
        at = stop
    return at
