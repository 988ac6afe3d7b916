"""The server that a user names."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..listen.hostport import port_number, split
from ..protocols import protocol_named, protocol_of_scheme

__all__ = ["DEFAULT_PORT", "server_named"]

DEFAULT_PORT = 12345
"""Where a client looks that is told no port."""


def server_named(protocol: str, host: str, port: int | str | None) -> tuple[str, str, int]:
    """The protocol, the host and the port that these name; see `Client`.

    :raises ConfigurationError: if they name none.
    """
    if "://" in host:
        parts = urlsplit(host)
        protocol, host = protocol_of_scheme(parts.scheme).name, parts.netloc or "localhost"
    host, named = split(host)
    port = named if named is not None else port
    protocol = protocol.lower()
    protocol_named(protocol)  # which says so if there is none
    if ":" in host and not _is_ipv6(host):
        raise ConfigurationError(f"host={host!r}: it is a name or an address, with a port as 'host:port'")
    number = DEFAULT_PORT if port is None else port_number(port)
    if type(number) is not int or not 0 < number <= 65535:
        raise ConfigurationError(f"port={port!r}: the server's port is needed, a number from 1 to 65535")
    return protocol, host, number


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
