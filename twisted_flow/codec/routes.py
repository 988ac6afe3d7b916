"""Routes and statuses as protobuf (RouteProto, StatusProto)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from ..document.protobuf.descriptor import Message
from ..document.protobuf.wire import field, number_field, tags_of, text_field, varint
from ..message import ExceptionInfo, Route, Status

__all__ = ["read_route", "read_status", "write_route", "write_status"]

_ROUTE, _TIMESTAMP = tags_of("jina.RouteProto"), tags_of("google.protobuf.Timestamp")
_STATUS, _EXCEPTION = tags_of("jina.StatusProto"), tags_of("jina.StatusProto.ExceptionProto")
_ROUTES = tags_of("jina.RequestProto")["routes"]
_START_TIME, _END_TIME = _ROUTE["start_time"], _ROUTE["end_time"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_route(proto: Message) -> Route:
    """The route that *proto*, a RouteProto, is."""
    status = read_status(proto.status) if proto.HasField("status") else None
    return Route(proto.pod, proto.pod_id, _read_time(proto.start_time), _read_time(proto.end_time), status)


def _read_time(proto: Message) -> datetime:
    return datetime.fromtimestamp(proto.seconds, UTC).replace(microsecond=proto.nanos // 1000)


def read_status(proto: Message) -> Status:
    """The status that *proto*, a StatusProto, is."""
    told = None
    if proto.HasField("exception"):
        exception = proto.exception
        told = ExceptionInfo(exception.name, list(exception.args), list(exception.stacks), exception.executor)
    return Status(proto.code, proto.description, told)


def write_route(route: Route) -> bytes:
    """*route*, as a field of a RequestProto."""
    encoded = (
        _write_pod(route.pod, route.pod_id)
        + field(_START_TIME, _write_time(route.start_time))
        + field(_END_TIME, _write_time(route.end_time))
    )
    if route.status is not None:
        encoded += field(_ROUTE["status"], write_status(route.status))
    return field(_ROUTES, encoded)


@lru_cache(maxsize=256)
def _write_pod(pod: str, pod_id: str) -> bytes:
    return text_field(_ROUTE["pod"], pod) + text_field(_ROUTE["pod_id"], pod_id)


def _write_time(time: datetime) -> bytes:
    since = time - _EPOCH
    nanos = since.microseconds * 1000
    return _write_seconds(since.days * 86400 + since.seconds) + bytes(
        (nanos & 127 | 128, nanos >> 7 & 127 | 128, nanos >> 14 & 127 | 128, nanos >> 21 & 127 | 128, nanos >> 28)
    )


@lru_cache(maxsize=16)
def _write_seconds(seconds: int) -> bytes:
    """The field of the seconds, and the tag of the nanoseconds behind it."""
    return _TIMESTAMP["seconds"] + varint(seconds & (1 << 64) - 1) + _TIMESTAMP["nanos"]


def write_status(status: Status) -> bytes:
    """*status*, as a StatusProto."""
    encoded = number_field(_STATUS["code"], int(status.code)) if status.code else b""
    if status.description:
        encoded += text_field(_STATUS["description"], status.description)
    if status.exception is not None:
        encoded += field(_STATUS["exception"], _write_exception(status.exception))
    return encoded


def _write_exception(told: ExceptionInfo) -> bytes:
    out = [text_field(_EXCEPTION["name"], told.name)]
    out += [text_field(_EXCEPTION["args"], each) for each in told.args]
    out += [text_field(_EXCEPTION["stacks"], each) for each in told.stacks]
    return b"".join([*out, text_field(_EXCEPTION["executor"], told.executor)])
