"""The loop's transports behind Twisted's interfaces."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import SimpleNamespace

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport

from twisted_flow.loop.transport import LoopConnection, was_reset


class Gone(asyncio.Transport):
    """A connection whose peer has gone before it was looked at: the system does not know its address any more."""

    def __init__(self) -> None:
        super().__init__({"socket": socket.socket(), "peername": None})


def test_a_peer_that_has_gone_already() -> None:
    """Its connection is made, as any, and then lost."""
    made: list[object] = []

    class Made(Factory):
        def buildProtocol(self, addr: object) -> Protocol:  # type: ignore[override]
            made.append(addr)
            return Protocol()

    loop = asyncio.new_event_loop()
    transport = Gone()
    connection = LoopConnection(Made(), loop)
    connection.connection_made(transport)
    connection.connection_lost(ConnectionResetError())
    transport.get_extra_info("socket").close()
    loop.close()
    assert made == [IPv4Address("TCP", "", 0)]


def test_a_peer_that_has_gone() -> None:
    """Also another reactor's transports tell it, while nothing is read."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            transport = SimpleNamespace(socket=accepted)
            client.sendall(b"not read")
            assert not was_reset(transport)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            assert was_reset(transport)
        assert not was_reset(transport)  # closed here
    assert not was_reset(StringTransport())
