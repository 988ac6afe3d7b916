"""HTTP's channel, on a connection in memory, and at a port where something else is spoken."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.support import wait_for
from twisted_flow import Client, Flow
from twisted_flow.channel.http import HTTPChannel, _Connection
from twisted_flow.channel.websocket import WebSocketChannel
from twisted_flow.errors import Unavailable


def connected() -> tuple[HTTPChannel, _Connection, StringTransport]:
    channel, transport = HTTPChannel("there", 80), StringTransport()
    connection = _Connection(channel)
    connection.makeConnection(transport)
    channel.idle.append(connection)
    return channel, connection, transport


def why_not(connection: _Connection) -> str:
    failures: list[Any] = []
    connection.ask(b"POST / HTTP/1.1\r\n\r\n").addErrback(failures.append)
    failures[0].trap(Unavailable)
    return str(failures[0].value)


def test_server_that_speaks_first() -> None:
    """Who speaks before being asked, as a gRPC server does, is not asked, and not waited for."""
    _, connection, transport = connected()
    connection.dataReceived(b"\0\0\x12\x04\0\0\0\0\0")
    assert transport.disconnected
    assert "spoke before it was asked" in why_not(connection)
    assert transport.value() == b""


def test_connection_that_is_over() -> None:
    """Nor is one that has gone, though it was there when it was picked."""
    channel, connection, _ = connected()
    connection.connectionLost(Failure(ConnectionDone()))
    assert channel.idle == []
    assert "there:80 was lost" in why_not(connection)


def test_port_of_another_protocol() -> None:
    """Whatever listens at the port, the client is told, each time."""
    with Flow(protocol="grpc", host="127.0.0.1") as flow:
        client = Client(protocol="http", host="127.0.0.1", port=flow.port)
        for _ in range(20):
            with pytest.raises(Unavailable):
                client.post("/x", "a")


@pytest.mark.parametrize("channel", [HTTPChannel, WebSocketChannel])
def test_cancelled_while_it_connects(channel: Any) -> None:
    """That says nothing of the server: it is not Unavailable."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cancel() -> Any:
            connecting = channel("127.0.0.1", server.getsockname()[1]).exchange()
            connecting.cancel()
            return connecting

        with pytest.raises(CancelledError):
            wait_for(cancel)
