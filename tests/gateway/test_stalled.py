"""Who reads slowly is served to the end; who reads nothing is not waited for."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from tests.support import HTTP, wait_for
from twisted_flow.gateway.stalled import StallTimer
from twisted_flow.limits import Limits
from twisted_flow.listen.addresses import port_address

SIZE = 16 * 2**20


class Slow:
    """A transport whose peer takes what the test says."""

    left = 100

    def unsent(self) -> int:
        return self.left


def test_slow_and_stuck() -> None:
    """Whatever is taken counts from anew; so does another time of waiting."""
    timer, slow = StallTimer(), Slow()
    assert [timer.seconds(slow, second, True) for second in (1, 2, 3)] == [0, 1, 2]
    slow.left = 99
    assert [timer.seconds(slow, second, True) for second in (4, 5)] == [0, 1]
    assert timer.seconds(slow, 6, False) == 0
    assert [timer.seconds(slow, second, True) for second in (80, 81)] == [0, 1]


def test_slow_client_of_the_lane() -> None:
    """One that takes something now and then is not dropped."""
    http = HTTP(limits=Limits(write_timeout=3))
    wire, slow = http.connect(), Slow()
    wire.unsent = slow.unsent  # type: ignore[attr-defined]
    wire.protocol.pauseProducing()
    for _ in range(10):
        slow.left -= 1
        http.pass_seconds(3)
        assert not wire.disconnected
    http.pass_seconds(5)
    assert wire.disconnected


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, Any]]:
    """A client's socket with little room, and the server's transport."""
    made: list[Any] = []

    class Server(Protocol):
        def connectionMade(self) -> None:
            made.append(self.transport)
            self.transport.write(bytes(SIZE))  # type: ignore[union-attr]

    place = port_address("127.0.0.1", 0)
    port = wait_for(lambda: place.listen(Factory.forProtocol(Server)))  # type: ignore[arg-type]
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.settimeout(30)
        client.connect(("127.0.0.1", place.port))
        client.recv(1)
        yield client, made[0]
    wait_for(port.stopListening)


def test_what_the_system_tells() -> None:
    """It becomes less as the peer reads, and nothing in the end; of what is closed there is nothing to tell."""
    with connected() as (client, transport):
        at_first = wait_for(transport.unsent)
        assert SIZE // 2 < at_first < SIZE
        left = SIZE - 1
        while left > SIZE // 4:
            left -= len(client.recv(1 << 20))
        assert wait_for(transport.unsent) < at_first
        while left:
            left -= len(client.recv(1 << 20))
        while wait_for(transport.unsent):
            pass
    wait_for(transport.abortConnection)
    assert wait_for(transport.unsent) == 0
