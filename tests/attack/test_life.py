"""Starts that hang, signals, executors that hang, clients that do not go: as processes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import signal
import socket
import struct
import threading
import time
import urllib.request
from typing import Any

import grpc
import msgspec
import pytest
import websockets.sync.client

from tests.support import HELLO, TIMEOUT, Server, connect, post, serving
from twisted_flow.codec import protobuf
from twisted_flow.document.protobuf.descriptor import message

EXECUTORS = """
import asyncio, os, time
import numpy as np
from twisted_flow import Document, Executor, dynamic_batching, requests

class HangingInit(Executor):
    def __init__(self):
        print("begun", flush=True)
        time.sleep(300)
    @requests
    def f(self): pass

class HangingInline(HangingInit):
    @requests
    async def f(self): pass

class HangingWarmUp(Executor):
    async def warm_up(self):
        print("begun", flush=True)
        await asyncio.sleep(300)
    @requests
    async def f(self): pass

class HangingHealth(Executor):
    def check_health(self):
        time.sleep(300)
    @requests
    def f(self): pass

class Stuck(Executor):
    @requests(on="/hang")
    def hang(self, docs):
        time.sleep(300)
    @requests(on="/hang-too")
    async def hang_too(self, docs):
        await asyncio.sleep(300)

class Unwilling(Executor):
    def close(self):
        raise SystemExit(3)
    @requests(on="/a")
    def f(self): pass

class Willing(Executor):
    def close(self):
        print("closed all the same", flush=True)
    @requests(on="/b")
    def f(self): pass

class Busy(Executor):
    @requests(on="/busy")
    async def busy(self, docs):
        end = time.monotonic() + 1.8
        while time.monotonic() < end:
            pass
    @requests(on="/busy_later")
    @dynamic_batching
    async def busy_later(self, docs):
        await asyncio.sleep(0)
        time.sleep(1.8)
    @requests(on="/large")
    async def large(self, docs):
        return Document(buffer=bytes(12_000_000))
    @requests(on="/soon")
    async def soon(self, docs):
        print("soon", flush=True)
        await asyncio.sleep(1)
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "e.py").write_text(EXECUTORS)
    return tmp_path


def health(port: int) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=TIMEOUT) as answer:
        return msgspec.json.decode(answer.read())["executors"]


@pytest.mark.parametrize("name", ["HangingInit", "HangingWarmUp"])
def test_a_start_that_hangs_is_cancelled(folder: pathlib.Path, name: str) -> None:
    """SIGTERM ends it, within the grace."""
    server = Server("--host=127.0.0.1", "--port=0", "--drain-grace=1", f"--uses=e.py:{name}", cwd=folder)
    server.wait_for_line("begun")
    server.stop()
    assert server.process.returncode is not None


def test_a_constructor_that_blocks_the_loop(folder: pathlib.Path) -> None:
    """The log says so, and the second signal ends the process."""
    server = Server("--host=127.0.0.1", "--port=0", "--uses=e.py:HangingInline", cwd=folder)
    server.wait_for_line("begun")
    server.wait_for_line("the event loop has been blocked")
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + TIMEOUT
    while server.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
    assert server.wait() == -signal.SIGTERM


def test_one_close_that_exits(folder: pathlib.Path) -> None:
    """The others are closed all the same."""
    with serving("--port=0", "--uses=e.py:Willing", "--uses=e.py:Unwilling", cwd=folder) as server:
        server.stop()
        server.wait_for_line("closed all the same")
        server.wait_for_line("executor1 did not close: SystemExit: 3")


def test_signals(folder: pathlib.Path) -> None:
    """SIGHUP is a line, SIGUSR1 tells what runs, SIGQUIT answers what was asked before it ends the server."""
    with serving("--port=0", "--uses=e.py:Busy", cwd=folder) as server:
        client = connect(server.port)  # type: ignore[attr-defined]
        client.sendall(post("/post", HELLO | {"execEndpoint": "/soon"}))
        server.wait_for_line("^.*soon")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_line("SIGHUP: certificates and tokens are read again")
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for_line("SIGUSR1: what runs now")
        server.wait_for_line("thread MainThread")
        server.wait_for_line("e.py")  # the task that sleeps in it
        server.process.send_signal(signal.SIGQUIT)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        server.wait()
        client.close()


def test_a_busy_loop_is_named(folder: pathlib.Path) -> None:
    """Once, with the endpoint and the place."""
    with serving("--port=0", "--uses=e.py:Busy", cwd=folder) as server:
        client = connect(server.port)  # type: ignore[attr-defined]
        client.sendall(post("/post", HELLO | {"execEndpoint": "/busy", "requestId": "r7"}))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        server.wait_for_line("blocked for more than 1 s: request r7 to /busy")
        server.wait_for_line("in busy")
        client.sendall(post("/post", HELLO | {"execEndpoint": "/busy_later", "requestId": "r8"}))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        server.wait_for_line("blocked for more than 1 s: request r8 to /busy_later")
        client.close()
        assert sum("been blocked" in line for line in server.lines) == 2


def test_no_descriptor_is_left(folder: pathlib.Path) -> None:
    """One line says so."""
    soft = 60
    server = Server(
        "--host=127.0.0.1", "--port=0", "--uses=e.py:Busy", cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft)),
    )  # fmt: skip
    try:
        port = server.wait_until_ready()
        clients = [connect(port) for _ in range(soft)]
        server.wait_for_line("out of file descriptors")
        for client in clients:
            client.close()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_line("SIGTERM")
    finally:
        server.process.kill()
        server.wait()


@pytest.mark.parametrize("endpoint", ["/hang", "/hang-too"])
def test_a_call_that_never_ends(folder: pathlib.Path, endpoint: str) -> None:
    """It makes its executor unhealthy, if that is asked for."""
    options = ["--port=0", "--drain-grace=0", "--health-interval=0.2", "--stuck-after=0.5", "--uses=e.py:Stuck"]
    with serving(*options, cwd=folder) as server:
        assert health(server.port) == {"executor0": "ready"}  # type: ignore[attr-defined]
        client = connect(server.port)  # type: ignore[attr-defined]
        client.sendall(post("/post", HELLO | {"execEndpoint": endpoint}))
        server.wait_for_line("executor0 is unhealthy: TimeoutError: a call has run for")
        assert health(server.port) == {"executor0": "unhealthy"}  # type: ignore[attr-defined]
        client.close()


def test_a_question_for_health_that_hangs(folder: pathlib.Path) -> None:
    """It has a time-out."""
    options = [
        "--port=0",
        "--drain-grace=0",
        "--health-interval=0.2",
        "--health-timeout=0.5",
        "--uses=e.py:HangingHealth",
    ]
    with serving(*options, cwd=folder) as server:
        server.wait_for_line("executor0 is unhealthy: TimeoutError: no answer within 0.5 s")
        assert health(server.port) == {"executor0": "unhealthy"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("pipelined", [1, 2])
def test_a_large_answer_is_read_to_its_end(folder: pathlib.Path, pipelined: int) -> None:
    """Though the server is told to stop meanwhile, and the client reads slowly."""
    with serving("--port=0", "--uses=e.py:Busy", cwd=folder) as server:
        client = connect(server.port)  # type: ignore[attr-defined]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(post("/post", HELLO | {"execEndpoint": "/large"}) * pipelined)
        raw = client.recv(1000)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_line("SIGTERM")
        size = len(raw)
        while data := client.recv(1 << 18):
            size += len(data)
            time.sleep(0.005)
        assert size > 16_000_000 * pipelined
        client.close()
        server.wait()


METHOD = "/twisted_flow.Flow/Post"


def proto(endpoint: str) -> bytes:
    proto = message("jina.RequestProto")(request_id="r1")
    proto.header.exec_endpoint = endpoint
    proto.data.docs.add(text="hello")
    return bytes(proto.SerializeToString())


def test_grpc_without_a_message(folder: pathlib.Path) -> None:
    """A call that ends before its message is an error at once."""
    with serving("--protocol=grpc", "--port=0", "--uses=e.py:Busy", cwd=folder) as server:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:  # type: ignore[attr-defined]
            with pytest.raises(grpc.RpcError) as caught:
                channel.stream_unary(METHOD)(iter(()), timeout=TIMEOUT)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
            assert (
                protobuf.decode_response(channel.unary_unary(METHOD)(proto("/x"), timeout=TIMEOUT)).docs[0].text
                == "hello"
            )


@pytest.mark.parametrize("by", ["lane", "grpcio"])
def test_grpc_clients_that_do_not_go(folder: pathlib.Path, by: str) -> None:
    """Neither a silent connection nor a call without a message holds the server, and what was asked is answered."""
    options = ("--protocol=grpc", f"--grpc={by}", "--port=0", "--drain-grace=20", "--uses=e.py:Busy")
    with serving(*options, cwd=folder) as server:
        silent = connect(server.port)  # type: ignore[attr-defined]
        gate = threading.Event()
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:  # type: ignore[attr-defined]

            def nothing() -> Any:
                gate.wait(TIMEOUT)
                yield from ()

            open_call = channel.stream_unary(METHOD).future(nothing())
            asked = channel.unary_unary(METHOD).future(proto("/soon"))
            server.wait_for_line("soon")
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert asked.result(TIMEOUT)
            server.wait()
            assert time.monotonic() - began < 15
            gate.set()
            assert open_call.exception(TIMEOUT) is not None
        silent.close()


def is_open(client: socket.socket) -> bool:
    """Whether the server has not closed the connection, a moment after all that were asked for were made."""
    client.settimeout(0.2)
    try:
        return bool(client.recv(1))
    except TimeoutError:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize("by", ["lane", "grpcio"])
def test_grpc_connections_are_bounded(folder: pathlib.Path, by: str) -> None:
    """One more is closed, as HTTP's are; also where nobody calls; and those that have gone make room."""
    options = ("--protocol=grpc", f"--grpc={by}", "--port=0", "--max-connections=2", "--uses=e.py:Busy")
    with serving(*options, cwd=folder) as server:
        channels = [
            grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1)])  # type: ignore[attr-defined]
            for _ in range(5)
        ]
        calls = [channel.unary_unary(METHOD).future(proto("/soon"), timeout=TIMEOUT) for channel in channels]
        codes = sorted(call.code().name for call in calls)
        assert codes == ["OK"] * 2 + ["UNAVAILABLE"] * 3
        for channel in channels:
            channel.close()
        until_open = time.monotonic() + TIMEOUT
        for _ in range(2):
            while not is_open(first := connect(server.port)):  # type: ignore[attr-defined]
                assert time.monotonic() < until_open
            with contextlib.ExitStack() as stack:
                silent = [stack.enter_context(connect(server.port)) for _ in range(10)]  # type: ignore[attr-defined]
                stack.enter_context(first)
                assert sum(map(is_open, [first, *silent])) == 2


def wait_until_refused(port: int) -> None:
    """Until nothing listens on *port* any more."""
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # just as it stopped
            continue
    raise AssertionError("it listens still")


def test_draining_answers_carry_the_ids_of_their_requests(folder: pathlib.Path) -> None:
    """Whose refusal it is can be told, in each encoding."""
    with serving("--protocol=websocket", "--port=0", "--uses=e.py:Busy", cwd=folder) as server:
        with websockets.sync.client.connect(f"ws://127.0.0.1:{server.port}/", max_size=None) as client:  # type: ignore[attr-defined]
            client.send(msgspec.json.encode(HELLO | {"execEndpoint": "/soon", "requestId": "first"}).decode())
            server.wait_for_line("soon")
            server.process.send_signal(signal.SIGTERM)
            server.wait_for_line("SIGTERM")
            wait_until_refused(server.port)  # type: ignore[attr-defined]
            client.send(msgspec.json.encode(HELLO | {"requestId": "late"}).decode())
            client.send(proto("/x").replace(b"r1", b"r2"))
            told = [client.recv(TIMEOUT) for _ in range(3)]
        texts = {msgspec.json.decode(each)["requestId"] for each in told if isinstance(each, str)}
        assert texts == {"first", "late"}
        (late,) = [protobuf.decode_response(each) for each in told if isinstance(each, bytes)]
        assert (late.request_id, late.status.exception and late.status.exception.name) == ("r2", "Unavailable")


def resident(pid: int) -> float:
    """MiB."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.parametrize("kind", ["http", "chunked", "websocket"])
def test_refused_bodies_leave_no_memory_behind(folder: pathlib.Path, kind: str) -> None:
    """Ten of 30 MiB are gone when they are refused, or their connection is."""
    body = b"{" + b" " * (30 << 20)
    with serving("--protocol=http", "--protocol=websocket", "--port=0", "--uses=e.py:Busy", cwd=folder) as server:
        before = resident(server.process.pid)
        for _ in range(10):
            client = connect(server.port)  # type: ignore[attr-defined]
            if kind == "http":
                client.sendall(post("/post", body))
                assert client.recv(100).startswith(b"HTTP/1.1 400")
            elif kind == "chunked":
                head = b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body)
                client.sendall(head + body + b"\r\n0\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 400")
            else:
                client.sendall(
                    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                assert b"101" in client.recv(1000)
                client.sendall(b"\x02\xff" + struct.pack("!Q", len(body)) + bytes(4) + body)
            client.close()
        health(server.port)  # type: ignore[attr-defined]
        assert resident(server.process.pid) - before < 150
