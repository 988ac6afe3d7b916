"""The server that a user names."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..listen.hostport import port_number, split
from ..protocols import protocol_named, protocol_of_scheme

__all__ = ["DEFAULT_PORT", "Server", "server_named"]

DEFAULT_PORT = 12345
"""Where a client looks that is told no port."""
_HTTPS = 443  # and where it does under TLS
_OVER_TLS = ("grpcs", "https", "wss")


class Server(NamedTuple):
    """Where a server is."""

    protocol: str
    host: str
    port: int
    tls: bool
    """Whether it is reached over TLS."""


def server_named(protocol: str, host: str, port: int | str | None) -> Server:
    """The server that these name; see `Client`.

    :raises ConfigurationError: if they name none.
    """
    tls, usual = False, DEFAULT_PORT
    if "://" in host:
        parts = urlsplit(host)
        maker = protocol_of_scheme(parts.scheme)
        protocol, host = maker.name, parts.netloc or "localhost"
        if parts.scheme in _OVER_TLS:
            tls, usual = True, _HTTPS
    host, named = split(host)
    port = named if named is not None else port
    protocol = protocol.lower()
    protocol_named(protocol)  # which says so if there is none
    if ":" in host and not _is_ipv6(host):
        raise ConfigurationError(f"host={host!r}: it is a name or an address, with a port as 'host:port'")
    number = usual if port is None else port_number(port)
    if type(number) is not int or not 0 < number <= 65535:
        raise ConfigurationError(f"port={port!r}: the server's port is needed, a number from 1 to 65535")
    return Server(protocol, host, number, tls)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
