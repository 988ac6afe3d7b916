"""Routes and statuses as protobuf (RouteProto, StatusProto)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from math import floor

from ..document.protobuf.descriptor import Message
from ..document.protobuf.wire import field, number_field, size_of, tags_of, text_field, varint
from ..message import ExceptionInfo, Route, Status

__all__ = ["read_route", "read_status", "write_routes", "write_status"]

_ROUTE, _TIMESTAMP = tags_of("jina.RouteProto"), tags_of("google.protobuf.Timestamp")
_STATUS, _EXCEPTION = tags_of("jina.StatusProto"), tags_of("jina.StatusProto.ExceptionProto")
_ROUTES = tags_of("jina.RequestProto")["routes"]
_START_TIME, _END_TIME = _ROUTE["start_time"], _ROUTE["end_time"]


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


def write_routes(routes: Iterable[Route]) -> list[bytes]:
    """*routes*, each as a field of a RequestProto.

    (Times are dear, and often the same object: that at which a gateway read what came at once, and that at which the
    last executor, and so the gateway, had done.)
    """
    written = []
    start: Callable[[datetime], bytes] = _write_same_time
    end, encoded_end = None, b""
    for route in routes:
        if route.end_time is not end:
            end = route.end_time
            encoded_end = _write_time(end)
        pod = _write_pod(route.pod, route.pod_id)
        encoded = b"".join((pod, _START_TIME, start(route.start_time), _END_TIME, encoded_end))
        start = _write_time
        if route.status is not None:
            encoded += field(_ROUTE["status"], write_status(route.status))
        written.append(field(_ROUTES, encoded))
    return written


@lru_cache(maxsize=256)
def _write_pod(pod: str, pod_id: str) -> bytes:
    return text_field(_ROUTE["pod"], pod) + text_field(_ROUTE["pod_id"], pod_id)


def _write_time(time: datetime) -> bytes:
    """*time* as a Timestamp, with its size before it."""
    nanos = time.microsecond * 1000
    return _write_seconds(floor(time.timestamp())) + bytes(
        (nanos & 127 | 128, nanos >> 7 & 127 | 128, nanos >> 14 & 127 | 128, nanos >> 21 & 127 | 128, nanos >> 28)
    )


_write_same_time = lru_cache(maxsize=4)(_write_time)


@lru_cache(maxsize=16)
def _write_seconds(seconds: int) -> bytes:
    """The size, the field of the seconds, and the tag of the nanoseconds, which take five bytes."""
    encoded = _TIMESTAMP["seconds"] + varint(seconds & (1 << 64) - 1) + _TIMESTAMP["nanos"]
    return size_of(len(encoded) + 5) + encoded


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
