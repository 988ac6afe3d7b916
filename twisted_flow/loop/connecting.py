"""Connecting through the event loop's own transports, behind Twisted's interfaces."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IProtocolFactory

from ..errors import ConfigurationError
from .reactor import asyncio_loop
from .transport import LoopConnection

__all__ = ["connect", "connect_unix", "reset"]


class _One:
    """A factory of one protocol, which is there already."""

    def __init__(self, protocol: object) -> None:
        self.protocol = protocol

    def buildProtocol(self, address: object) -> object:
        """The protocol."""
        return self.protocol


def connect(host: str, port: int, protocol: Any, tls: ssl.SSLContext | None = None) -> Deferred[Any]:
    """Connect *protocol* to a server, through the loop's own transports where the reactor has a loop.

    :param tls: for a connection under TLS, to a server whose certificate is for *host*.
    :return: fires with *protocol*; fails with an OSError, or what Twisted makes of it, or its CancelledError.
    """
    loop = asyncio_loop()
    if loop is None:
        from twisted.internet import reactor

        if tls is not None:
            return fail(ConfigurationError("TLS needs the asyncio reactor"))
        return cast("Deferred[Any]", connectProtocol(HostnameEndpoint(reactor, host, port), protocol))
    factory = cast(IProtocolFactory, _One(protocol))
    connecting = loop.create_connection(lambda: LoopConnection(factory, loop), host, port, ssl=tls)
    return _made(loop.create_task(connecting), protocol)


def connect_unix(path: str, protocol: Any) -> Deferred[Any]:
    """The same to a server at a Unix socket, where the reactor has a loop."""
    loop = cast(asyncio.AbstractEventLoop, asyncio_loop())
    factory = cast(IProtocolFactory, _One(protocol))
    connecting = loop.create_unix_connection(lambda: LoopConnection(factory, loop), path)
    return _made(loop.create_task(connecting), protocol)


def _made(connecting: asyncio.Task[Any], protocol: Any) -> Deferred[Any]:
    """*protocol*, when it is connected. (`Deferred.fromFuture` forgets that it was cancelled, where that is after the
    task has ended and before its callbacks are called.)
    """

    def cancel(_: object) -> None:
        connecting.cancel()

    made: Deferred[Any] = Deferred(cancel)

    def settle(_: object) -> None:
        error = CancelledError() if connecting.cancelled() else connecting.exception()
        if made.called:  # nobody wants it any more
            if error is None:
                connecting.result()[0].abort()
        elif error is None:
            made.callback(protocol)
        else:
            made.errback(error)

    connecting.add_done_callback(settle)
    return made


def reset(transport: Any) -> None:
    """End a connection at once, and have its peer told: see `LoopTransport.resetConnection`. (Twisted's own transports
    do so when they abort.)
    """
    getattr(transport, "resetConnection", transport.abortConnection)()
