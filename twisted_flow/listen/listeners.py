"""Which protocol is served on which port."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from ..errors import ConfigurationError
from ..protocols import GRPC_SERVERS, protocol_named
from .hostport import port_number

__all__ = ["Listener", "listeners", "named", "served_by"]


class Listener(Struct, frozen=True):
    """One port, and what is served there: one protocol, or several that share it."""

    protocols: tuple[str, ...]
    port: int
    """0: one that is free."""
    endpoint: str = ""
    """In place of a port: one of Twisted's endpoint strings, such as 'unix:/run/flow.socket'."""


def named(
    protocol: str | Sequence[str], port: int | str | Sequence[int | str] | None = None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The protocols and the ports that a user names: one, or several; in any case, and as texts."""
    protocols = (protocol,) if isinstance(protocol, str) else tuple(protocol)
    ports = () if port is None else (port,) if isinstance(port, int | str) else port
    return tuple(str(each).lower() for each in protocols), tuple(port_number(each) for each in ports)


def served_by(protocols: Sequence[str], grpc: str) -> tuple[str, ...]:
    """*protocols*, where gRPC is served by *grpc*, one of `GRPC_SERVERS`.

    :raises ConfigurationError: if it is none.
    """
    if grpc not in GRPC_SERVERS:
        raise ConfigurationError(f"grpc={grpc!r}: it is {' or '.join(GRPC_SERVERS)}")
    return tuple(GRPC_SERVERS[grpc] if protocol == "grpc" else protocol for protocol in protocols)


def listeners(protocols: Sequence[str], ports: Sequence[int], listen: Sequence[str] = ()) -> tuple[Listener, ...]:
    """Pair *protocols* and *ports* by position; one port for several protocols is shared by those that can.

    :param ports: none: free ones are chosen.
    :param listen: endpoint strings for all protocols, all for each; the ports, if there are any, are gRPC's then.
    :raises ConfigurationError: where they cannot be paired.
    """
    for protocol in protocols:
        protocol_named(protocol)
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
        groups = sorted(_together(protocols).items(), key=lambda group: not group[0][0])  # those that share come first
        return tuple(Listener(group, 0) for _, group in groups)
    if len(ports) == 1:
        ports = list(ports) * len(protocols)
    if len(ports) != len(protocols):
        raise ConfigurationError(
            f"{len(protocols)} protocols and {len(ports)} ports: give a port for each, or one for all"
        )
    by_port: dict[int | tuple[str, str], tuple[str, ...]] = {}
    for protocol, port in zip(protocols, ports, strict=True):
        key = port or _group(protocol)  # of those that choose a free one, who may share one do
        by_port[key] = (*by_port.get(key, ()), protocol)
    for port_or_group, group in by_port.items():
        for protocol in group if len(_together(group)) > 1 else ():
            meant = protocol_named(protocol)
            if not meant.shares:
                raise ConfigurationError(
                    f"{meant.name} needs a port of its own: {port_or_group} is for {' and '.join(group)}"
                )
    return tuple(Listener(group, port if isinstance(port, int) else 0) for port, group in by_port.items())


def _group(protocol: str) -> tuple[str, str]:
    """What those protocols have in common that may share a port."""
    shares: str = protocol_named(protocol).shares
    return (shares, "") if shares else ("", protocol)


def _together(protocols: Sequence[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """*protocols* in groups that may share a port."""
    groups: dict[tuple[str, str], tuple[str, ...]] = {}
    for protocol in protocols:
        group = _group(protocol)
        groups[group] = (*groups.get(group, ()), protocol)
    return groups


def _described(protocols: Sequence[str], ports: Sequence[int], listen: Sequence[str]) -> tuple[Listener, ...]:
    apart = ("grpc",) if ports and len(protocols) > 1 else ()
    described = tuple(each for each in protocols if not protocol_named(each).own_socket and each not in apart)
    rest = [protocol for protocol in protocols if protocol not in described]
    if not described:
        raise ConfigurationError(f"{' and '.join(rest)} needs a port of its own, not an endpoint")
    if len(_together(described)) > 1:
        raise ConfigurationError(f"{' and '.join(described)} cannot share an endpoint")
    if len(ports) == len(protocols) > len(rest) > 0:  # paired by position: those of HTTP and WebSocket say nothing
        ports = [port for protocol, port in zip(protocols, ports, strict=True) if protocol in rest]
    if ports and not rest:
        raise ConfigurationError(f"{' and '.join(described)}: give a port or an endpoint, not both")
    here = tuple(Listener(described, 0, endpoint) for endpoint in listen)
    return here + (listeners(rest, ports) if rest else ())
