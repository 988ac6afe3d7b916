"""Hosts and ports as one text: an IPv6 address stands in brackets there (RFC 3986 section 3.2.2)."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import cast

__all__ = ["bare", "is_loopback", "joined", "port_number", "private_address", "split"]

_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):([0-9]+)")


def joined(host: str, port: int) -> str:
    """``host:port``, as a URL has it."""
    host = bare(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bare(host: str) -> str:
    """*host* without the brackets of an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def split(text: str) -> tuple[str, int | None]:
    """The host that *text* names, and the port, if it names one."""
    named = _WITH_PORT.fullmatch(text)
    return (bare(named[1]), int(named[2])) if named else (bare(text), None)


def port_number(port: int | str) -> int:
    """*port*, converted if it is a text of digits; anything else is returned as it is, for a later check."""
    return int(port) if isinstance(port, str) and port.isdecimal() else cast(int, port)


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine's own address, which no other can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def private_address() -> str | None:
    """This machine's address in its own network, if it has one. (Nothing is sent: UDP only picks a route.)"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return None if address.startswith(("127.", "0.")) else address
