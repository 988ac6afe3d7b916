"""Floods against a server process, with a second client that asks meanwhile: bounded in count and time.

Run as a program it prints, for each flood, the worst wait of the second client and the memory that it cost; with
``FLOOD_PYTHONPATH`` another version of the package is flooded.
"""

from __future__ import annotations

import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import Server, connect
from twisted_flow.wire.http2.codes import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from twisted_flow.wire.http2.fields import block
from twisted_flow.wire.http2.frames import frame as http2

SECONDS = float(os.environ.get("FLOOD_SECONDS", "2"))
MOST = 1.0  # seconds that a second client waits at most; on a quiet machine it is a twentieth of that
STATUS = b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HEAD = b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


def frame(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + payload


def body(inner: bytes) -> bytes:
    whole = b'{"execEndpoint":"/nobody","data":[' + inner + b"]}"
    return HEAD % len(whole) + whole


def repeated(first: bytes, again: bytes) -> Callable[[], Iterator[bytes]]:
    def sent() -> Iterator[bytes]:
        yield first
        block = again * max(1, 262_144 // len(again))
        while True:
            yield block

    return sent


def once(raw: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter([raw])


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "pipelined requests": repeated(b"", STATUS),
    "a burst of requests": once(STATUS * 100_000),
    "pipelined requests, by the library": repeated(b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", STATUS),
    "one-byte chunks": repeated(b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "pings": repeated(UPGRADE, frame(9)),
    "pongs": repeated(UPGRADE, frame(10)),
    "one-byte fragments": repeated(UPGRADE + frame(1, b"x", fin=False), frame(0, b"x", fin=False)),
    "empty fragments": repeated(UPGRADE + frame(1, fin=False), frame(0, fin=False)),
    "empty documents": once(body(b"{}," * 5_000_000 + b"{}")),
    "tiny documents, as many as may be": once(body(b'{"text":"a"},' * 90_000 + b"{}")),
    "lists in tags": once(body(b'{"tags":{"a":[' + b"[]," * 10_000_000 + b"[]]}}")),
    "a long text": once(body(b'{"text":"' + b"x" * 60_000_000 + b'"}')),
    "decimals": once(body(b",".join([b'{"embedding":[' + b"0.123456789," * 100_000 + b"1]}"] * 20))),
    "texts for numbers": once(body(b'{"embedding":[' + b'"aaaaaaaa",' * 100_000 + b'"a"]}')),
}  # fmt: skip


HELLO = PREFACE + http2(SETTINGS, 0, 0) + http2(SETTINGS, ACK, 0)
CALL = block(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/twisted_flow.Flow/Post"),
        (b"content-type", b"application/grpc"),
    ]
)
POST = b"\0\0\0\0\x0a" + b"\x0a\x01r\x1a\x05\x0a\x03/no"


def opened(stream: int, ended: bool = False) -> bytes:
    return http2(HEADERS, END_HEADERS | ended, stream, CALL)


def each_stream(made: Callable[[int], bytes]) -> Callable[[], Iterator[bytes]]:
    """One stream after another, as *made*."""

    def sent() -> Iterator[bytes]:
        yield HELLO
        for first in range(1, 2**31 - 2001, 2000):
            yield b"".join(made(stream) for stream in range(first, first + 2000, 2))

    return sent


FLOODS |= {
    "HTTP/2: pings": repeated(HELLO, http2(PING, 0, 0, bytes(8))),
    "HTTP/2: settings": repeated(HELLO, http2(SETTINGS, 0, 0)),
    "HTTP/2: priorities": repeated(HELLO, http2(PRIORITY, 0, 1, bytes(5))),
    "HTTP/2: windows": repeated(HELLO + opened(1), http2(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")),
    "HTTP/2: empty data": repeated(HELLO + opened(1), http2(DATA, 0, 1)),
    "HTTP/2: a byte a frame": repeated(
        HELLO + opened(1) + http2(DATA, 0, 1, b"\0\3\0\0\0"), http2(DATA, 0, 1, b"x")
    ),
    "HTTP/2: continuation": repeated(HELLO + http2(HEADERS, 0, 1, CALL), http2(CONTINUATION, 0, 1)),
    "HTTP/2: large continuation": repeated(HELLO + http2(HEADERS, 0, 1, CALL), http2(CONTINUATION, 0, 1, bytes(16384))),
    "HTTP/2: fields that grow": once(HELLO + http2(HEADERS, 5, 1, CALL + b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 9000)),
    "HTTP/2: rapid reset": each_stream(lambda n: opened(n) + http2(RST_STREAM, 0, n, b"\0\0\0\x08")),
    "HTTP/2: rapid reset of calls": each_stream(
        lambda n: opened(n) + http2(DATA, 1, n, POST) + http2(RST_STREAM, 0, n, b"\0\0\0\x08")
    ),
    "HTTP/2: streams without end": each_stream(opened),
    "HTTP/2: calls": each_stream(lambda n: opened(n) + http2(DATA, 1, n, POST)),
    "HTTP/2: calls of nobody": each_stream(lambda n: opened(n, True)),
    "HTTP/2: messages that are announced": each_stream(lambda n: opened(n) + http2(DATA, 0, n, b"\0\3\0\0\0" + bytes(10_000))),
}  # fmt: skip


def flood(port: int, sent: Iterator[bytes], seconds: float) -> None:
    """Send for so many seconds at most, and read what comes."""
    client = connect(port)
    end = time.monotonic() + seconds
    client.settimeout(0.2)

    def read() -> None:
        while time.monotonic() < end:
            try:
                if not client.recv(1 << 20):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for block in sent:
            view = memoryview(block)
            while view and time.monotonic() < end:
                try:
                    view = view[client.send(view[: 1 << 18]) :]
                except TimeoutError:
                    continue
            if time.monotonic() >= end:
                break
    except OSError:  # it was cut off, as it should be
        pass
    reading.join()
    client.close()


def waits(port: int, until: Callable[[], bool]) -> float:
    """The longest that a second client waits for ``/status``."""
    worst = 0.0
    client = connect(port)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while not until():
        began = time.monotonic()
        client.sendall(STATUS)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.002)
    client.close()
    return worst


def resident(pid: int) -> float:
    """MiB."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def under(name: str, folder: pathlib.Path, seconds: float) -> tuple[float, float]:
    """The worst wait under the flood called *name*, in seconds, and the most memory that it took, in MiB."""
    process = {}
    if other := os.environ.get("FLOOD_PYTHONPATH"):
        process["env"] = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": other}
    protocols = [f"--protocol={name}" for name in ("http", "websocket", "grpc")]
    server = Server("--host=127.0.0.1", *protocols, "--port=0", cwd=folder, **process)
    try:
        port = server.wait_until_ready()
        before, most = resident(server.process.pid), 0.0
        flooding = threading.Thread(target=flood, args=(port, FLOODS[name](), seconds))
        flooding.start()

        def over() -> bool:
            nonlocal most
            most = max(most, resident(server.process.pid))
            return not flooding.is_alive()

        worst = waits(port, over)
        assert server.process.poll() is None
        return worst, most - before
    finally:
        server.process.kill()
        server.wait()


@pytest.mark.parametrize("name", FLOODS)
def test_others_are_answered(name: str, tmp_path: pathlib.Path) -> None:
    """Whatever one client sends, another one has its answers, and the memory is bounded."""
    worst, memory = under(name, tmp_path, SECONDS)
    assert worst < MOST
    assert memory < 600


if __name__ == "__main__":
    for name in sys.argv[1:] or FLOODS:
        worst, memory = under(name, pathlib.Path(tempfile.gettempdir()), float(os.environ.get("FLOOD_SECONDS", "5")))
        print(f"{name:40} other {1000 * worst:7.0f} ms, memory {memory:6.0f} MiB", flush=True)
