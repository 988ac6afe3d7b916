"""A client that closes its half of a connection, over sockets: it gets what it asked for in whole."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support import TIMEOUT
from tests.websockets import frame, frames
from twisted_flow import DocumentArray, Executor, Flow, Limits, requests

BODY = json.dumps({"data": ["hello"], "execEndpoint": "/x"}).encode()
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Slow(Executor):
    """Takes a moment, in a thread or on the loop."""

    cancelled = 0

    @requests(on="/x")
    def in_thread(self, docs: DocumentArray) -> None:
        time.sleep(0.1)

    @requests(on="/search")
    async def on_loop(self, docs: DocumentArray) -> None:
        try:
            await asyncio.sleep(0.1 if not docs[0].tags else 10)
        except asyncio.CancelledError:
            Slow.cancelled += 1
            raise


@pytest.fixture(scope="module")
def flow() -> Iterator[Flow]:
    limits = Limits(half_close_grace=1)
    with Flow(protocol=["http", "websocket"], host="127.0.0.1", limits=limits).add(uses=Slow) as flow:
        yield flow


def answered(port: int, *parts: bytes) -> bytes:
    """All that the server says to *parts*, behind which nothing comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"".join(parts))
        client.shutdown(socket.SHUT_WR)
        said = b""
        while chunk := client.recv(65536):
            said += chunk
    return said


@pytest.mark.parametrize("path", [b"/post", b"/search"])
@pytest.mark.parametrize("extra", [b"", b"X-Own: 1\r\n"], ids=["lane", "klein"])
def test_http(flow: Flow, path: bytes, extra: bytes) -> None:
    """However it is called, and by whichever way."""
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    said = answered(flow.port, (head % (path, extra, len(BODY)) + BODY) * 2)
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert said.count(b"hello") == 2


@pytest.mark.parametrize("endpoint", [b"/x", b"/search"])
def test_websocket(flow: Flow, endpoint: bytes) -> None:
    """The same for messages."""
    said = answered(flow.port, HANDSHAKE, frame(BODY.replace(b"/x", endpoint)) * 2)
    first, second, _ = frames(said.partition(b"\r\n\r\n")[2])
    assert b"hello" in first[1]
    assert b"hello" in second[1]


def test_who_has_gone(flow: Flow) -> None:
    """Nobody can tell a client that has closed from one that has closed its half: it is cancelled when the grace ends."""
    body = json.dumps({"data": [{"tags": {"long": True}}]}).encode()
    head = b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    assert answered(flow.port, head + body) == b""
    due = time.monotonic() + TIMEOUT
    while not Slow.cancelled:  # in the flow's own thread, right after the connection has ended
        assert time.monotonic() < due
    assert Slow.cancelled == 1
