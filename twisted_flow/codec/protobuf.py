"""Protobuf (RequestProto, both ways), as gRPC and the WebSocket's binary frames speak it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError
from zope.interface import moduleProvides

from ..document import DocumentArray
from ..document.check import complete
from ..document.descriptor import message
from ..document.identity import new_id
from ..document.numbers import settle
from ..document.protobuf import read, read_struct, write_all, write_struct
from ..errors import BadRequest, FlowError, ValidationError
from ..interfaces import ICodec
from ..message import ExceptionInfo, Header, Request, Response, Route, Status, bare_request

__all__ = [
    "RequestProto",
    "content_type",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
]

moduleProvides(ICodec)

content_type = "application/x-protobuf"

RequestProto = message("jina.RequestProto")


def decode_request(body: bytes, endpoint: str | None, max_depth: int) -> Request:
    """See `ICodec`."""
    proto = _parsed(body)
    try:
        return _read_request(proto, endpoint, max_depth)
    except FlowError as error:
        error.request_id = proto.request_id
        raise


def _parsed(body: bytes) -> Any:
    try:
        return RequestProto.FromString(body)
    except (DecodeError, RecursionError) as wrong:
        raise BadRequest(f"not a RequestProto: {wrong}") from None


def _read_request(proto: Any, endpoint: str | None, max_depth: int) -> Request:
    if proto.WhichOneof("body") == "control":
        return _controlling(proto)
    header, data = proto.header, proto.data
    endpoint = endpoint or header.exec_endpoint
    if not endpoint:
        raise ValidationError.at("/header/exec_endpoint", "is required")
    docs, groundtruths = DocumentArray(read(data.docs)), DocumentArray(read(data.groundtruths))
    if docs:
        complete(docs, "/data/docs", max_depth)
    if groundtruths:
        complete(groundtruths, "/data/groundtruths", max_depth)
    parameters: dict[str, Any] = {}
    if proto.HasField("parameters"):
        parameters = read_struct(proto.parameters)
        settle(parameters, "/parameters", max_depth)
    timeout = proto.timeout or None
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ValidationError.at("/timeout", "is a number of seconds above 0")
    return Request(
        request_id=proto.request_id or new_id(),
        header=Header(endpoint, header.target_peapod, header.no_propagate),
        docs=docs,
        groundtruths=groundtruths,
        parameters=parameters,
        timeout=timeout,
    )


def _controlling(proto: Any) -> Request:
    if proto.control.command != RequestProto.ControlRequestProto.CANCEL:
        raise ValidationError.at("/control/command", "of the commands only CANCEL is known here")
    return bare_request(proto.request_id, cancels=True)


def encode_request(request: Request) -> bytes:
    """See `ICodec`."""
    proto = RequestProto()
    _write_request(request, request.docs, request.groundtruths, proto)
    if request.timeout is not None:
        proto.timeout = request.timeout
    encoded: bytes = proto.SerializeToString()
    return encoded


def _write_request(request: Request, docs: DocumentArray, groundtruths: DocumentArray, proto: Any) -> None:
    proto.request_id = request.request_id
    header = request.header
    proto.header.exec_endpoint = header.exec_endpoint
    if header.target_peapod:
        proto.header.target_peapod = header.target_peapod
    if header.no_propagate:
        proto.header.no_propagate = True
    data = proto.data
    data.SetInParent()
    write_all(docs, data.docs)
    if groundtruths:
        write_all(groundtruths, data.groundtruths)
    if request.parameters:
        write_struct(request.parameters, proto.parameters)


def encode_response(response: Response) -> bytes:
    """See `ICodec`."""
    proto = RequestProto()
    _write_request(response.request, response.docs, response.groundtruths, proto)
    for route in response.routes:
        entry = proto.routes.add(pod=route.pod, pod_id=route.pod_id)
        _write_time(route.start_time, entry.start_time)
        _write_time(route.end_time, entry.end_time)
        if route.status is not None:
            _write_status(route.status, entry.status)
    _write_status(response.status, proto.status)
    encoded: bytes = proto.SerializeToString()
    return encoded


def _write_time(time: datetime, proto: Any) -> None:
    proto.seconds = int(time.timestamp())
    proto.nanos = time.microsecond * 1000


def _write_status(status: Status, proto: Any) -> None:
    proto.SetInParent()
    if status.code:
        proto.code = int(status.code)
    if status.description:
        proto.description = status.description
    if status.exception is not None:
        told = proto.exception
        told.name, told.executor = status.exception.name, status.exception.executor
        told.args.extend(status.exception.args)
        told.stacks.extend(status.exception.stacks)


def decode_response(body: bytes) -> Response:
    """See `ICodec`."""
    proto = _parsed(body)
    docs, groundtruths = DocumentArray(read(proto.data.docs)), DocumentArray(read(proto.data.groundtruths))
    request = Request(
        request_id=proto.request_id,
        header=Header(proto.header.exec_endpoint, proto.header.target_peapod, proto.header.no_propagate),
        docs=docs,
        groundtruths=groundtruths,
        parameters=read_struct(proto.parameters),
    )
    routes = [_read_route(route) for route in proto.routes]
    return Response(request, docs, groundtruths, routes, _read_status(proto.status))


def _read_route(proto: Any) -> Route:
    status = _read_status(proto.status) if proto.HasField("status") else None
    return Route(proto.pod, proto.pod_id, _read_time(proto.start_time), _read_time(proto.end_time), status)


def _read_time(proto: Any) -> datetime:
    return datetime.fromtimestamp(proto.seconds, UTC).replace(microsecond=proto.nanos // 1000)


def _read_status(proto: Any) -> Status:
    told = None
    if proto.HasField("exception"):
        exception = proto.exception
        told = ExceptionInfo(exception.name, list(exception.args), list(exception.stacks), exception.executor)
    return Status(proto.code, proto.description, told)
