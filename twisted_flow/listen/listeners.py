"""Which protocol is served on which port."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from ..errors import ConfigurationError
from ..suggestion import nearest

__all__ = ["PROTOCOLS", "Listener", "listeners"]

PROTOCOLS = ("grpc", "http", "websocket")
"""What a flow can be served over."""

_TOGETHER = ("http", "websocket")


class Listener(Struct, frozen=True):
    """One port, and what is served there: one protocol, or HTTP and WebSocket together."""

    protocols: tuple[str, ...]
    port: int
    """0: one that is free."""
    endpoint: str = ""
    """In place of a port: one of Twisted's endpoint strings, such as 'unix:/run/flow.socket'."""


def listeners(protocols: Sequence[str], ports: Sequence[int], listen: Sequence[str] = ()) -> tuple[Listener, ...]:
    """Pair *protocols* and *ports* by position; one port for several protocols is shared by HTTP and WebSocket.

    :param ports: none: free ones are chosen.
    :param listen: endpoint strings for HTTP and WebSocket, all for each; the ports are gRPC's then.
    :raises ConfigurationError: where they cannot be paired.
    """
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            known = ", ".join(PROTOCOLS)
            raise ConfigurationError(f"protocol={protocol!r}: the protocols are {known}{nearest(protocol, PROTOCOLS)}")
        if protocols.count(protocol) > 1:
            raise ConfigurationError(f"the protocol {protocol!r} is named twice")
    if not protocols:
        raise ConfigurationError("a flow is served over at least one protocol")
    for port in ports:
        if type(port) is not int or not 0 <= port <= 65535:
            raise ConfigurationError(f"port={port!r}: a port is a number from 0 to 65535")
    if listen:
        return _described(protocols, ports, listen)
    if not ports:
        together = tuple(protocol for protocol in protocols if protocol in _TOGETHER)
        alone = [(protocol,) for protocol in protocols if protocol not in _TOGETHER]
        return tuple(Listener(group, 0) for group in [together, *alone] if group)
    if len(ports) == 1:
        ports = list(ports) * len(protocols)
    if len(ports) != len(protocols):
        raise ConfigurationError(
            f"{len(protocols)} protocols and {len(ports)} ports: give a port for each, or one for all"
        )
    groups: dict[int, tuple[str, ...]] = {}
    for place, (protocol, port) in enumerate(zip(protocols, ports, strict=True)):
        key = port or -1 - (place if protocol == "grpc" else 0)  # of those that choose a free one gRPC has its own
        groups[key] = (*groups.get(key, ()), protocol)
    for port, group in groups.items():
        if "grpc" in group and len(group) > 1:
            raise ConfigurationError(f"gRPC needs a port of its own: {port} is for {' and '.join(group)}")
    return tuple(Listener(group, max(port, 0)) for port, group in groups.items())


def _described(protocols: Sequence[str], ports: Sequence[int], listen: Sequence[str]) -> tuple[Listener, ...]:
    described = tuple(protocol for protocol in protocols if protocol in _TOGETHER)
    rest = [protocol for protocol in protocols if protocol not in _TOGETHER]
    if not described:
        raise ConfigurationError("gRPC listens on a port of its own: give it one, in place of an endpoint")
    if len(ports) == len(protocols) > len(rest) > 0:  # paired by position: those of HTTP and WebSocket say nothing
        ports = [port for protocol, port in zip(protocols, ports, strict=True) if protocol in rest]
    if ports and not rest:
        raise ConfigurationError("HTTP and WebSocket listen on a port or at an endpoint: give one of them")
    here = tuple(Listener(described, 0, endpoint) for endpoint in listen)
    return here + (listeners(rest, ports) if rest else ())
