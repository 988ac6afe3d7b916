"""The event loop's own transports, behind Twisted's interfaces.

Twisted's asyncio reactor reads and writes sockets in Python, uvloop does it in C, at twice the rate. The protocols stay
ordinary Twisted protocols: only the endpoint differs.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProtocolFactory,
    IPushProducer,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from ..telemetry.numbers import Traffic

__all__ = ["Address", "LoopConnection", "address_of", "was_reset"]

_GATHERED = 1 << 16  # bytes that are written in one turn of the loop, at most, before the first of them leave

Address = IPv4Address | IPv6Address | UNIXAddress
"""Where one end of a connection is."""


def address_of(family: int, name: Any) -> Address:
    """The address that a socket of *family* calls *name*."""
    if family == getattr(socket, "AF_UNIX", None):
        return UNIXAddress(name or None)
    host, port = name[:2] if name else ("", 0)  # none: the peer has gone already
    return (IPv6Address if family == socket.AF_INET6 else IPv4Address)("TCP", host, port)


@implementer(ITCPTransport, IPushProducer, IConsumer)
class LoopTransport:
    """Twisted's transport over an asyncio transport; one for each connection.

    The writes of one turn of the loop leave as one, as they do on Twisted's own transports.
    """

    disconnecting = disconnected = False
    full = False
    """Whether the peer reads more slowly than is written."""
    producer: Any = None
    ended = False
    """Whether the peer has closed its half."""
    paused = False
    """Whether nothing is read."""
    traffic = Traffic()
    """Where what comes and goes is counted."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.inner, self.loop = inner, loop
        self.protocol: Any = None
        self._pending: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Send *data* before long."""
        if self.disconnecting and self.producer is None:
            return
        if not self._pending:
            self.loop.call_soon(self.flush)
        self._pending.append(data)
        self._size += len(data)
        if self._size > _GATHERED:  # then the loop can tell whether the peer reads
            self.flush()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send *data*, an iterable of bytes, before long."""
        self.write(b"".join(data))

    def flush(self) -> None:
        """Send what is pending now."""
        pending, size, self._pending, self._size = self._pending, self._size, [], 0
        self.traffic.sent += size
        if pending and not self.inner.is_closing():
            self.inner.write(pending[0] if len(pending) == 1 else b"".join(pending))

    def unsent(self) -> int:
        """How many bytes have been written that the peer has not taken yet, as far as the system can tell."""
        ours: int = self._size + self.inner.get_write_buffer_size()
        try:
            from fcntl import ioctl  # not on Windows
            from termios import TIOCOUTQ

            return ours + int.from_bytes(ioctl(self._socket().fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
        except (ImportError, OSError, ValueError):  # the system does not say, or it is closed
            return ours

    def loseConnection(self, reason: object = None) -> None:
        """Close when all is written: at once, unless a producer that was paused has more to say."""
        self.disconnecting = True
        if self.producer is None or not self.full:
            self.flush()
            self.inner.close()

    def abortConnection(self) -> None:
        """Close now, whatever is unwritten."""
        self.disconnecting = True
        self._pending = []
        self.inner.abort()

    def resetConnection(self) -> None:
        """The same, and the peer is told that nothing is read any more either: an end alone might be half a close."""
        with suppress(OSError, AttributeError):  # it has none any more
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abortConnection()

    def loseWriteConnection(self) -> None:
        """Say that nothing more will be written, and go on reading."""
        self.flush()
        if self.inner.is_closing():
            return
        if self.inner.can_write_eof():
            self.inner.write_eof()
        else:  # over TLS there is no half of a connection
            self.inner.close()

    def pauseProducing(self) -> None:
        """Read no more for now."""
        if not self.ended and not self.inner.is_closing():
            self.paused = True
            self.inner.pause_reading()

    def resumeProducing(self) -> None:
        """Read again."""
        if not self.ended and not self.inner.is_closing():
            self.paused = False
            self.inner.resume_reading()

    def wasReset(self) -> bool:
        """Whether the peer has gone, which nobody sees while nothing is read."""
        return self.paused and _has_failed(self._socket())  # else the loop sees it

    def stopProducing(self) -> None:
        """Part of `IPushProducer`."""
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Pause and resume *producer* as the peer reads. It has to be a push producer."""
        if self.producer is not None:
            raise RuntimeError("a producer is already registered")
        if not streaming:
            raise NotImplementedError("only push producers")
        self.producer = producer
        if self.disconnected:
            producer.stopProducing()
        elif self.full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self.producer = None
        if self.disconnecting:
            self.loseConnection()

    def _socket(self) -> Any:
        return self.inner.get_extra_info("socket")

    def getPeer(self) -> Any:  # a Unix socket's too
        """The other end's address."""
        return address_of(self._socket().family, self.inner.get_extra_info("peername"))

    def getHost(self) -> Any:
        """This end's address."""
        return address_of(self._socket().family, self.inner.get_extra_info("sockname"))

    def peer_certificate(self) -> dict[str, Any] | None:
        """What the other end's certificate says, as `ssl.SSLSocket.getpeercert` tells it; None: it has shown none."""
        return self.inner.get_extra_info("peercert") or None

    def getTcpNoDelay(self) -> bool:
        """The loop sets it on every TCP connection."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """It is set already."""

    def getTcpKeepAlive(self) -> bool:
        """Whether TCP probes a silent peer."""
        return bool(self._socket().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Have TCP probe a silent peer, or not."""
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)


def was_reset(transport: Any) -> bool:
    """Whether the peer of *transport*, which may be one of Twisted's own, has gone: see `LoopTransport.wasReset`."""
    if isinstance(transport, LoopTransport):
        return transport.wasReset()
    bound = getattr(transport, "socket", None)
    return isinstance(bound, socket.socket) and _has_failed(bound)


def _has_failed(bound: Any) -> bool:
    try:
        return bool(bound.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    except OSError:  # it is closed
        return False


class LoopConnection(asyncio.Protocol):
    """Passes what the loop reports to a Twisted protocol."""

    def __init__(self, factory: IProtocolFactory, loop: asyncio.AbstractEventLoop) -> None:
        self.factory, self.loop = factory, loop
        self._traffic: Traffic = getattr(factory, "traffic", LoopTransport.traffic)  # not every factory's is counted

    def connection_made(self, transport: Any) -> None:
        self.transport = LoopTransport(transport, self.loop)
        self.transport.traffic = self._traffic
        self.transport.protocol = protocol = self.factory.buildProtocol(self.transport.getPeer())
        if protocol is None:
            transport.abort()
        else:
            protocol.makeConnection(self.transport)

    def data_received(self, data: bytes) -> None:
        self._traffic.received += len(data)
        # Looked up each time: a protocol may hand its connection to another.
        self.transport.protocol.dataReceived(data)

    def pause_writing(self) -> None:
        self.transport.full = True
        if self.transport.producer is not None:
            self.transport.producer.pauseProducing()

    def resume_writing(self) -> None:
        self.transport.full = False
        if self.transport.disconnecting:
            self.transport.loseConnection()
        elif self.transport.producer is not None:
            self.transport.producer.resumeProducing()

    def eof_received(self) -> bool:
        """Whether the connection stays open, so that we can go on writing."""
        transport = self.transport
        half = IHalfCloseableProtocol(transport.protocol, None)
        if half is None or transport.inner.get_extra_info("sslcontext") is not None:  # TLS has no half
            transport.flush()
            return False
        transport.ended = True
        half.readConnectionLost()
        return not transport.inner.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        transport = self.transport
        transport.disconnected = transport.disconnecting = True
        if transport.producer is not None:
            transport.producer.stopProducing()
        if transport.protocol is not None:
            why = ConnectionDone() if exc is None else ConnectionLost(str(exc))
            transport.protocol.connectionLost(Failure(why))
