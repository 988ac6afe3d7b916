"""Answers in parts over real sockets, from each kind of engine: latency, back-pressure, and who goes away."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.end_to_end.watched import in_sockets, memory, until
from tests.grpc_calls import proto
from tests.support import TIMEOUT, free_port, post, serving
from tests.websockets import frame, frames
from twisted_flow.codec.protobuf import RequestProto

WORDS = """
import asyncio, threading, time
from twisted_flow import Document, Executor, requests

class Base(Executor):
    def __init__(self):
        self.made = self.ended = 0
        self.gate = threading.Event()

    @requests(on="/count")
    async def count(self, docs):
        docs[0].tags = {"made": self.made, "ended": self.ended}

    @requests(on="/open")
    async def open(self):
        self.gate.set()

    def large(self):
        self.made += 1
        return Document(b"x" * 2**20)

class Async(Base):
    @requests(on="/large")
    async def large_parts(self):
        try:
            for _ in range(300):
                yield self.large()
        finally:
            self.ended += 1

    @requests(on="/slow")
    async def slow(self):
        yield Document("first")
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        self.gate.clear()
        yield Document("second")

    @requests(on="/busy")
    async def busy(self):
        for text in ("first", "second"):
            yield Document(text)
            time.sleep(0.8)

class Def(Base):
    @requests(on="/large")
    def large_parts(self):
        try:
            for _ in range(300):
                yield self.large()
        finally:
            self.ended += 1

    @requests(on="/slow")
    def slow(self):
        yield Document("first")
        self.gate.wait(30)
        self.gate.clear()
        yield Document("second")
"""
ENGINES = {
    "loop": ["--uses=words.py:Async"],
    "thread": ["--uses=words.py:Def"],
    "process": ["--uses=words.py:Def", "--engine=process"],
    "loop of a process": ["--uses=words.py:Async", "--engine=process"],
    "a flow elsewhere": ["--config=near.yml"],
}
NEAR = """
jtype: Flow
version: '1'
executors:
  - name: far
    host: grpc://127.0.0.1:{port}
"""


@pytest.fixture(scope="module", params=sorted(ENGINES))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("words")
    (folder / "words.py").write_text(WORDS)
    port, grpc_port = free_port(), free_port()
    options = ["--protocol=http", f"--port={port}", "--protocol=websocket", f"--port={port}"]
    options += ["--protocol=grpc", f"--port={grpc_port}", *ENGINES[request.param]]
    with contextlib.ExitStack() as stack:
        pids = []
        if request.param == "a flow elsewhere":
            far = stack.enter_context(serving("--protocol=grpc", "--uses=words.py:Async", cwd=folder))
            (folder / "near.yml").write_text(NEAR.format(port=far.wait_until_ready()))
            pids = [far.process.pid]
        made: Any = stack.enter_context(serving(*options, cwd=folder))
        made.grpc_port, made.pids = grpc_port, [*pids, made.process.pid]
        for protocol in PROTOCOLS:  # what its libraries take at first is not what a stream takes
            with PROTOCOLS[protocol](made, "/large") as stream:
                for _ in range(20):
                    stream.next()
        yield made


def body(endpoint: str) -> dict[str, Any]:
    return {"data": [{"id": "d"}], "execEndpoint": endpoint, "requestId": "r"}


class Stream:
    """A client's end of an answer in parts."""

    def __enter__(self) -> Any:
        return self

    def next(self) -> str:
        """The next part's text, or the name of what comes in its place."""
        raise NotImplementedError


class Connected(Stream):
    """Over a socket, with a small buffer of its own."""

    def __init__(self, server: Any, endpoint: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(("127.0.0.1", server.port))
        self.file = self.socket.makefile("rb")
        self.ask(endpoint)

    def ask(self, endpoint: str) -> None:
        raise NotImplementedError

    def __exit__(self, *problem: object) -> None:
        self.file.close()
        self.socket.close()


class Events(Connected):
    def ask(self, endpoint: str) -> None:
        self.socket.sendall(post("/post", body(endpoint), "Accept: text/event-stream"))
        assert self.file.readline() == b"HTTP/1.1 200 OK\r\n"
        while self.file.readline() != b"\r\n":
            pass
        self.left = b""

    def next(self) -> str:
        while b"\n\n" not in self.left:
            size = int(self.file.readline(), 16)
            self.left += self.file.read(size)
            self.file.readline()
        event, _, self.left = self.left.partition(b"\n\n")
        name, _, data = event.rpartition(b"data: ")
        return str(json.loads(data).get("text", "")) if not name else name.decode().strip()


class WebSocket(Connected):
    def ask(self, endpoint: str) -> None:
        lines = ["GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        head = "\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""])
        self.socket.sendall(head.encode() + frame(json.dumps({**body(endpoint), "stream": True}).encode()))
        while self.file.readline() != b"\r\n":
            pass

    def next(self) -> str:
        raw = self.file.read(2)
        more = {126: 2, 127: 8}.get(raw[1], 0)
        length = self.file.read(more)
        size = struct.unpack({2: "!H", 8: "!Q"}[more], length)[0] if more else raw[1]
        ((_, payload),) = frames(raw + length + self.file.read(size))
        answer = json.loads(payload)
        docs = answer["data"]["docs"]
        return str(docs[0].get("text", "")) if docs else f"end {answer['status']['code']}"


class GRPC(Stream):
    path = "/twisted_flow.Flow/Stream"

    def __init__(self, server: Any, endpoint: str) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        stub = self.channel.unary_stream(self.path, RequestProto.SerializeToString, RequestProto.FromString)
        self.call = stub(proto(endpoint, "x", stream=True), timeout=TIMEOUT)

    def next(self) -> str:
        part = next(self.call)
        return str(part.data.docs[0].text) if part.data.docs else f"end {part.status.code}"

    def __exit__(self, *problem: object) -> None:
        self.call.cancel()
        self.channel.close()


class Call(GRPC):
    """As one request of a stream of them."""

    path = "/jina.JinaRPC/Call"


PROTOCOLS: dict[str, Any] = {"events": Events, "websocket": WebSocket, "stream": GRPC, "call": Call}


def ask(server: Any, endpoint: str) -> Any:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/post",
        json.dumps(body(endpoint)).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
        return json.load(answer)["data"]["docs"]


def count(server: Any) -> Any:
    return ask(server, "/count")[0]["tags"]


def settled(server: Any) -> int:
    """How many parts have been made, once no more are."""
    seen, since = -1, time.monotonic()
    while time.monotonic() < since + 0.3:
        now = count(server)["made"]
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
class TestStreams:
    def test_the_first_part_does_not_wait(self, server: Any, protocol: str) -> None:
        """It is at the client while the next is not made yet."""
        with PROTOCOLS[protocol](server, "/slow") as stream:
            assert stream.next() == "first"
            ask(server, "/open")
            assert stream.next() == "second"
            assert stream.next() in ("event: end", "end 0")

    def test_a_client_that_does_not_read(self, server: Any, protocol: str) -> None:
        """300 MB that nobody reads are not made; when the client has gone, the generator ends."""
        before, memory_before = count(server), memory(server)
        with PROTOCOLS[protocol](server, "/large") as stream:
            stream.next()
            made = settled(server) - before["made"]
            more = [now - then for now, then in zip(memory(server), memory_before, strict=True)]
            assert made < in_sockets(server) + 40
            assert max(more) < 30, f"{more} MiB more"
        until(lambda: count(server)["ended"] == before["ended"] + 1)
        assert count(server)["made"] - before["made"] < in_sockets(server) + 80


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_one_that_computes(tmp_path: pathlib.Path, protocol: str) -> None:
    """What an async generator makes leaves though it computes on and never awaits."""
    (tmp_path / "words.py").write_text(WORDS)
    port, grpc_port = free_port(), free_port()
    options = ["--protocol=http", f"--port={port}", "--protocol=websocket", f"--port={port}"]
    options += ["--protocol=grpc", f"--port={grpc_port}", "--uses=words.py:Async"]
    with serving(*options, cwd=tmp_path) as server:
        server.grpc_port = grpc_port  # type: ignore[attr-defined]
        with PROTOCOLS[protocol](server, "/busy") as stream:
            assert stream.next() == "first"
            came = time.monotonic()
            assert stream.next() == "second"
            assert time.monotonic() - came > 0.2  # where the first waits for the second it is none


def test_curl(server: Any) -> None:
    """`curl -N` shows each part as it comes."""
    url = f"http://127.0.0.1:{server.port}/post"
    command = ["curl", "-sN", "-H", "Accept: application/jsonl", "-H", "Content-Type: application/json"]
    with subprocess.Popen([*command, "-d", json.dumps(body("/slow")), url], stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        assert json.loads(curl.stdout.readline())["text"] == "first"
        ask(server, "/open")
        assert json.loads(curl.stdout.readline())["text"] == "second"
        assert json.loads(curl.stdout.readline())["status"]["code"] == 0
