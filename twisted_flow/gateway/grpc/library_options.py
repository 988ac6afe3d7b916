"""What grpcio's server is told of a flow's bounds."""

from __future__ import annotations

from ...limits import Limits

__all__ = ["options_of"]


def options_of(limits: Limits) -> list[tuple[str, int]]:
    """The options of a server with *limits*."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_concurrent_streams", limits.max_calls),
        ("grpc.keepalive_time_ms", int(limits.ping_interval * 1000)),
        ("grpc.keepalive_timeout_ms", int(limits.ping_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
