"""Where a gateway listens: a port, a socket that systemd hands over, or whatever an endpoint string describes."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorSocket, IStreamServerEndpoint
from zope.interface import implementer

from ..errors import ConfigurationError
from ..interfaces import IListenAddress
from ..loop import asyncio_loop
from ..loop.listening import BACKLOG, LoopServerEndpoint
from ..process.systemd import unnamed_descriptor
from ..security.tls import ServerTLS, read_tls
from .hostport import bare, joined

__all__ = ["described_address", "port_address", "resolved"]


_UNIX = re.compile(r"unix:(?:address=)?((?:\\.|[^:\\])*)")


def port_address(host: str, port: int, *, listen: bool = True, tls: ServerTLS | None = None) -> IListenAddress:
    """The address at *host* and *port* (0: any that is free), which is taken at once.

    :param listen: whether it is to listen at once; grpcio binds the port again, beside a socket that does not.
    :param tls: for connections under TLS.
    :raises ConfigurationError: one line, if that cannot be.
    """
    _check_loop(tls, joined(host, port))
    family, address = resolved(host, port)
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        if listen:
            bound.listen(BACKLOG)  # of two servers on one port the second is told now
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"cannot listen on {joined(host, port)}: {error.strerror or error}") from None
    bound.setblocking(False)
    return cast(IListenAddress, _Bound(bound, tls))


def resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """What *host* and *port* are to the system: a family, and an address in it.

    :raises ConfigurationError: one line, if there is no such host.
    """
    try:
        found = socket.getaddrinfo(bare(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigurationError(f"cannot listen on {joined(host, port)}: {error}") from None
    return found[0], found[4]


def _check_loop(tls: ServerTLS | None, where: str) -> None:
    if tls is not None and asyncio_loop() is None:
        raise ConfigurationError(f"cannot listen on {where}: TLS needs the asyncio reactor: start without --reactor")


def described_address(
    description: str, tls: ServerTLS | None = None, alpn: Sequence[str] = ("http/1.1",)
) -> IListenAddress:
    """The address that *description*, one of Twisted's endpoint strings, tells of.

    What systemd hands over is listened on as ports are; anything else when it comes to that, in Twisted's way.

    :param tls: for connections under TLS; an ``ssl:`` endpoint has its own.
    :param alpn: what that agrees to.
    :raises ConfigurationError: one line, if there is no such address.
    """
    _check_loop(tls, description)
    unnamed = unnamed_descriptor(description)
    if unnamed is not None:
        return _adopted(unnamed, tls)
    if description.startswith("ssl:") and asyncio_loop() is not None:
        port, interface, files = read_tls(description)
        try:
            return port_address(interface, port, tls=ServerTLS(files, alpn))
        except ConfigurationError as error:
            raise ConfigurationError(f"cannot listen on {description}: {error}") from None
    try:
        endpoint = _endpoint(description)
    except (IndexError, KeyError) as error:
        why = "systemd has handed over no such socket" if description.startswith("systemd:") else repr(error)
        raise ConfigurationError(f"cannot listen on {description}: {why}") from None
    except Exception as error:  # each kind of endpoint has its own
        raise ConfigurationError(f"cannot listen on {description}: {error}") from None
    unix = _UNIX.match(description)
    if unix is not None and not os.access(folder := os.path.dirname(unix[1]) or ".", os.W_OK | os.X_OK):
        raise ConfigurationError(f"cannot listen on {description}: {folder} is no folder that can be written to")
    if not isinstance(endpoint, AdoptedStreamServerEndpoint):
        if tls is not None:
            raise ConfigurationError(f"cannot listen on {description}: TLS is for ports and systemd's sockets")
        return cast(IListenAddress, _Described(description))
    return _adopted(endpoint.fileno, tls)


def _adopted(descriptor: int, tls: ServerTLS | None) -> IListenAddress:
    adopted = socket.socket(fileno=os.dup(descriptor))  # so that it can be handed over again
    adopted.setblocking(False)
    return cast(IListenAddress, _Bound(adopted, tls))


def _endpoint(description: str) -> IStreamServerEndpoint:
    from twisted.internet import reactor  # chosen by now

    endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    return endpoint


@implementer(IListenAddress)
class _Bound:
    """A socket that is bound already."""

    def __init__(self, bound: socket.socket, tls: ServerTLS | None) -> None:
        self.bound, self.tls = bound, tls
        name = bound.getsockname()
        self.port: int = name[1] if isinstance(name, tuple) else 0
        host = name[0] if isinstance(name, tuple) else ""
        self.address = joined(host, self.port) if host else f"unix:{name}"

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IListenAddress`."""
        return _server_endpoint(self.bound, self.tls).listen(factory)

    def close(self) -> None:
        """See `IListenAddress`."""
        self.bound.close()


@implementer(IListenAddress)
class _Described:
    """What an endpoint string describes."""

    port = 0
    tls = None

    def __init__(self, description: str) -> None:
        self.address = description

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IListenAddress`."""
        return _endpoint(self.address).listen(factory)

    def close(self) -> None:
        """See `IListenAddress`: there is nothing to close until it listens, and then the port has it."""


def _server_endpoint(bound: socket.socket, tls: ServerTLS | None) -> IStreamServerEndpoint:
    """The endpoint that listens on *bound*: on the loop's transports where the reactor has a loop."""
    loop = asyncio_loop()
    if loop is not None:
        return LoopServerEndpoint(loop, bound, tls)
    from twisted.internet import reactor

    descriptor = os.dup(bound.fileno())  # it closes what it is given
    return AdoptedStreamServerEndpoint(cast(IReactorSocket, reactor), descriptor, bound.family)
