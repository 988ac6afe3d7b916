"""The loop's transports behind Twisted's interfaces."""

from __future__ import annotations

import asyncio
import socket

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol

from twisted_flow.loop.transport import LoopConnection


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
