"""Protobuf (RequestProto, both ways), as gRPC and the WebSocket's binary frames speak it."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache

from google.protobuf.message import DecodeError
from zope.interface import moduleProvides

from ..document import DocumentArray
from ..document.check import Counter, complete
from ..document.identity import new_id
from ..document.numbers import settle
from ..document.protobuf.descriptor import message
from ..document.protobuf.struct import write_struct
from ..document.protobuf.wire import double, field, number_field, size_of, tags_of, text_field
from ..document.protobuf.write import write_documents
from ..errors import FlowError, ValidationError
from ..interfaces import ICodec
from ..limits import LONGEST_NAME, SHORTEST_TIMEOUT, Limits
from ..message import Header, Request, Response, Status, StatusCode, bare_request, check_names
from .envelope import Envelope, RequestProto, bad_request, parse_envelope, parse_envelope_in_steps
from .routes import read_route, read_status, write_routes, write_status
from .unsendable import telling_the_place

__all__ = [
    "RequestProto",
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

content_type = "application/x-protobuf"
endpoint_at = "/header/exec_endpoint"

_LARGE = 1 << 18  # bytes: what has as many is decoded in steps
_UNLIMITED = Limits(max_documents=2**62, max_values=2**62)  # of answers, which a client has asked for

_HeaderProto, _RouteProto, _StatusProto = (message(f"jina.{name}Proto") for name in ("Header", "Route", "Status"))
_ControlRequestProto = message("jina.RequestProto.ControlRequestProto")


def decode_request(body: bytes, endpoint: str | None, limits: Limits, request_id: str = "") -> Request:
    """See `ICodec`."""
    envelope = parse_envelope(body, limits)
    if request_id and not envelope.request_id:
        envelope.request_id = request_id
    try:
        counter = Counter(limits) if len(body) >> 1 > limits.max_documents else None  # one takes two bytes at least
        return _read_request(envelope, endpoint, limits, counter, named=len(body) > LONGEST_NAME)
    except FlowError as error:
        raise _identified(error, envelope)
    except DecodeError as raised:
        raise bad_request(raised) from None


def decode_in_steps(
    body: bytes, endpoint: str | None, limits: Limits, request_id: str = ""
) -> Generator[None, None, Request] | None:
    """See `ICodec`."""
    return None if len(body) < _LARGE else _in_steps(body, endpoint, limits, request_id)


def _in_steps(body: bytes, endpoint: str | None, limits: Limits, request_id: str) -> Generator[None, None, Request]:
    envelope = Envelope(DocumentArray(), DocumentArray(), [])
    counter, done, truths = Counter(limits), 0, 0
    try:
        for _ in parse_envelope_in_steps(body, envelope, limits):
            docs, groundtruths = envelope.docs[done:], envelope.groundtruths[truths:]
            complete(docs, "/data/docs", limits.max_depth, counter=counter, first=done)
            complete(groundtruths, "/data/groundtruths", limits.max_depth, counter=counter, first=truths)
            done, truths = done + len(docs), truths + len(groundtruths)
            yield
        envelope.request_id = envelope.request_id or request_id
        return _read_request(envelope, endpoint, limits, Counter(limits), checked=not envelope.anew)
    except FlowError as error:
        raise _identified(error, envelope)
    except DecodeError as raised:
        raise bad_request(raised) from None


def _identified(error: FlowError, envelope: Envelope) -> FlowError:
    error.request_id = envelope.request_id if len(envelope.request_id) <= LONGEST_NAME else ""
    return error


def _read_request(
    envelope: Envelope,
    endpoint: str | None,
    limits: Limits,
    counter: Counter | None,
    *,
    named: bool = True,
    checked: bool = False,
) -> Request:
    """The request that *envelope* is.

    :param named: whether it is long enough for a name that is too long.
    :param checked: whether its documents have been held to the rules.
    """
    if envelope.control is not None:
        return _controlling(envelope, envelope.control)
    header = _read_header(envelope.header)
    if endpoint:
        header = Header(endpoint, header.target_peapod, header.no_propagate)
    if named:
        check_names(envelope.request_id, header.exec_endpoint, header.target_peapod)
    docs, groundtruths, parameters = envelope.docs, envelope.groundtruths, envelope.parameters
    if not checked:
        if docs:
            complete(docs, "/data/docs", limits.max_depth, different=envelope.different, counter=counter)
        if groundtruths:
            complete(groundtruths, "/data/groundtruths", limits.max_depth, counter=counter)
    if parameters:
        settle(parameters, "/parameters", limits.max_depth)
    timeout = envelope.timeout or None
    if timeout is not None and not SHORTEST_TIMEOUT <= timeout < float("inf"):
        raise ValidationError.at("/timeout", f"is a number of seconds, {SHORTEST_TIMEOUT:g} or more")
    return Request(
        request_id=envelope.request_id or new_id(),
        header=header,
        docs=docs,
        groundtruths=groundtruths,
        parameters=parameters,
        timeout=timeout,
        stream=envelope.stream,
        traceparent=envelope.traceparent,
        tracestate=envelope.tracestate,
        pending=envelope.status is not None and _StatusProto.FromString(envelope.status).code == StatusCode.PENDING,
    )


def may_be_part(body: bytes) -> bool:
    """See `ICodec`."""
    return _PENDING in body


def _controlling(envelope: Envelope, control: bytes) -> Request:
    if _ControlRequestProto.FromString(control).command != _ControlRequestProto.CANCEL:
        raise ValidationError.at("/control/command", "the only command supported is CANCEL")
    return bare_request(envelope.request_id, cancels=True)


def _read_header(encoded: bytes | None) -> Header:
    return _short_header(encoded) if encoded is not None and len(encoded) < _SHORT else _header(encoded or b"")


def _header(encoded: bytes) -> Header:
    proto = _HeaderProto.FromString(encoded)
    return Header(proto.exec_endpoint, proto.target_peapod, proto.no_propagate)


_SHORT = 128  # bytes: what is kept of what callers send is bounded
_short_header = lru_cache(maxsize=256)(_header)


def decode_response(body: bytes) -> Response:
    """See `ICodec`."""
    envelope = parse_envelope(body, _UNLIMITED)
    try:
        header = _read_header(envelope.header)
        routes = [read_route(_RouteProto.FromString(route)) for route in envelope.routes]
        status = read_status(_StatusProto.FromString(envelope.status or b""))
    except DecodeError as error:
        raise bad_request(error) from None
    docs, groundtruths = envelope.docs, envelope.groundtruths
    request = Request(
        request_id=envelope.request_id,
        header=header,
        docs=docs,
        groundtruths=groundtruths,
        parameters=envelope.parameters,
    )
    return Response(request, docs, groundtruths, routes, status)


# -- writing

_REQUEST, _DATA = tags_of("jina.RequestProto"), tags_of("jina.RequestProto.DataRequestProto")
_HEADER = tags_of("jina.HeaderProto")
_REQUEST_ID = _REQUEST["request_id"]
_CANCEL = field(_REQUEST["control"], _ControlRequestProto(command=_ControlRequestProto.CANCEL).SerializeToString())
_STREAM = number_field(_REQUEST["stream"], 1)
_PENDING = field(_REQUEST["status"], write_status(Status(StatusCode.PENDING)))
_SUCCESS = Status()
_SUCCEEDED = field(_REQUEST["status"], b"")


def encode_request(request: Request) -> bytes:
    """See `ICodec`."""
    if request.cancels:
        return text_field(_REQUEST_ID, request.request_id) + _CANCEL
    with telling_the_place(request):
        out = _write_request(request, request)
    if request.timeout is not None:
        out.append(_REQUEST["timeout"] + double(request.timeout))
    if request.stream:
        out.append(_STREAM)
    if request.pending:
        out.append(_PENDING)
    if request.traceparent:
        out.append(text_field(_REQUEST["traceparent"], request.traceparent))
        out.append(text_field(_REQUEST["tracestate"], request.tracestate))
    return b"".join(out)


def encode_response(response: Response, limits: Limits) -> bytes:
    """See `ICodec`: arrays are never spelt as lists here."""
    out = _write_request(response.request, response)
    out += write_routes(response.routes)
    status = response.status
    out.append(_SUCCEEDED if status == _SUCCESS else field(_REQUEST["status"], write_status(status)))
    return b"".join(out)


def _write_request(request: Request, answered: Request | Response) -> list[bytes]:
    """The parts of *request*, with the documents of what it is *answered* with."""
    documents, size = write_documents(_DATA["docs"], answered.docs)
    if answered.groundtruths:
        groundtruths, more = write_documents(_DATA["groundtruths"], answered.groundtruths)
        documents, size = documents + groundtruths, size + more
    out = [
        text_field(_REQUEST_ID, request.request_id),
        _REQUEST["data"] + size_of(size),
        *documents,
        _write_header(request.header),
    ]
    if request.parameters:
        out.append(field(_REQUEST["parameters"], write_struct(request.parameters)))
    return out


def _write_header(header: Header) -> bytes:
    encoded = text_field(_HEADER["exec_endpoint"], header.exec_endpoint) if header.exec_endpoint else b""
    if header.target_peapod:
        encoded += text_field(_HEADER["target_peapod"], header.target_peapod)
    if header.no_propagate:
        encoded += _HEADER["no_propagate"] + b"\1"
    return field(_REQUEST["header"], encoded)
