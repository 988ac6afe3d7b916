"""Listening through the event loop's own transports, behind Twisted's interfaces; in the open, and under TLS."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from ..security.tls import ServerTLS
from ..telemetry.printable import one_line
from .transport import Address, LoopConnection, address_of

__all__ = ["BACKLOG", "LoopServerEndpoint"]

log = Logger()

BACKLOG = 1024
"""Connections that the system holds until they are accepted."""

_MOST = 1024  # handshakes under way at one port; what comes beyond is closed
_AT_ONCE = 64  # connections that are accepted in one turn of the loop
_GOODBYE = 5.0  # seconds that a peer has to answer the end of its TLS
_LATER = 1.0  # seconds until the next try, where there are no descriptors left
_TOLD_WITHIN, _TOLD = 60.0, 10  # seconds, and how many failures are told in the log within them


@implementer(IListeningPort)
class _LoopPort:
    """A socket that listens.

    :param close: ends that.
    """

    def __init__(self, bound: socket.socket, close: Callable[[], object], factory: IProtocolFactory) -> None:
        self._close, self.factory = close, factory
        self.host = address_of(bound.family, bound.getsockname())

    def startListening(self) -> None:
        """It listens already."""

    def stopListening(self) -> Deferred[None]:
        """Accept no more connections; those that are open are their protocols' to end."""
        self._close()
        self.factory.doStop()
        return succeed(None)

    def getHost(self) -> Address:
        """The address that it listens on."""
        return self.host


@implementer(IStreamServerEndpoint)
class LoopServerEndpoint:
    """Listens on a bound socket, made here or handed over, through the loop's own transports.

    :param tls: for connections under TLS.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, bound: socket.socket, tls: ServerTLS | None = None) -> None:
        self.loop, self.bound, self.tls = loop, bound, tls

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint`."""
        protocolFactory.doStart()
        loop, bound = self.loop, self.bound

        def connection() -> LoopConnection:
            return LoopConnection(protocolFactory, loop)

        if self.tls is not None:
            handshakes = _Handshakes(loop, bound, self.tls, connection)
            return succeed(_LoopPort(bound, handshakes.close, protocolFactory))
        making = loop.create_server(connection, sock=bound, backlog=BACKLOG)
        listening: Deferred[Any] = Deferred.fromFuture(loop.create_task(making))
        return listening.addCallback(lambda server: _LoopPort(bound, server.close, protocolFactory))


class _Handshakes:
    """Accepts connections, and has each of them begin with a handshake, with the certificates that are in use then.

    A connection is its protocol's only after that; until then it is counted, and timed, here.

    :param made: makes what takes a connection after its handshake.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        tls: ServerTLS,
        made: Callable[[], LoopConnection],
    ) -> None:
        self._loop, self._bound, self._tls, self._made = loop, bound, tls, made
        self._under_way: set[asyncio.Task[None]] = set()
        self._told_since, self._told = loop.time(), 0
        self._open = True
        bound.listen(BACKLOG)
        bound.setblocking(False)
        self._accept_again()

    def close(self) -> None:
        """Accept no more; handshakes under way go on."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._bound)
            self._bound.close()

    def _accept_again(self) -> None:
        if self._open:
            self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._bound.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.remove_reader(self._bound)
                    self._loop.call_later(_LATER, self._accept_again)
                return
            if len(self._under_way) >= _MOST:
                accepted.close()
                continue
            accepted.setblocking(False)
            task = self._loop.create_task(self._shake_hands(accepted))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _shake_hands(self, accepted: socket.socket) -> None:
        peer: object = None
        try:
            peer = accepted.getpeername()
            await self._loop.connect_accepted_socket(
                self._made, accepted, ssl=self._tls.context,
                ssl_handshake_timeout=self._tls.handshake_timeout, ssl_shutdown_timeout=_GOODBYE,
            )  # fmt: skip
        except OSError as error:  # ssl's errors are such too
            accepted.close()
            self._tell(peer, error)

    def _tell(self, peer: object, error: OSError) -> None:
        """A few failures are told in the log: a flood of them must not fill it."""
        now = self._loop.time()
        if now - self._told_since > _TOLD_WITHIN:
            self._told_since, self._told = now, 0
        self._told += 1
        if self._told <= _TOLD:
            log.info("a TLS handshake with {peer} has failed: {error}", peer=peer, error=one_line(error))
