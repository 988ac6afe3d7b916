"""Our gRPC channel against servers that are not ours, and against what no server should do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.http2 import ACKNOWLEDGED, frames_of
from tests.support import ROOT, TIMEOUT, wait_for
from twisted_flow import Client, Document, Flow, Limits
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.errors import FlowError
from twisted_flow.wire.grpc.messages import framed
from twisted_flow.wire.http2.codes import CANCEL, DATA, END_STREAM, HEADERS, PREFACE, SETTINGS
from twisted_flow.wire.http2.fields import block, status
from twisted_flow.wire.http2.frames import frame, goaway, headers, reset
from twisted_flow.wire.http2.frames import settings as say

BEGIN = status(200) + block([(b"content-type", b"application/grpc")])
HELLO = frame(SETTINGS, 0, 0) + ACKNOWLEDGED


def upper(body: bytes) -> bytes:
    read = RequestProto.FromString(body)
    for doc in read.data.docs:
        doc.text = doc.text.upper()
    encoded: bytes = read.SerializeToString()
    return encoded


def ended(code: int = 0, detail: bytes = b"") -> bytes:
    """Trailers."""
    return headers(block([(b"grpc-status", b"%d" % code), (b"grpc-message", detail)]), True, 1, 1 << 14)


@contextlib.contextmanager
def grpcio_server(**options: Any) -> Iterator[int]:
    """Grpcio's server with a service as the old system has it: it answers each message of a stream."""

    def call(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for body in requests:
            yield upper(body)

    server = grpc.server(ThreadPoolExecutor(10), options=list(options.items()))
    handlers = {"Call": grpc.stream_stream_rpc_method_handler(call)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("jina.JinaRPC", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait(TIMEOUT)


@contextlib.contextmanager
def script(*answers: bytes | Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that sends those bytes to each client that has begun, and then reads on until it goes."""
    listening = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                clients.append(client)
                threading.Thread(target=talk, args=(client,), daemon=True).start()

    def talk(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.recv(65536)
            for place, each in enumerate(answers):
                got = b"" if place == 1 and not callable(each) else b"/x"
                while b"/x" not in got:  # the request is there
                    got += client.recv(65536)
                if callable(each):
                    each(client)
                else:
                    client.sendall(each)
            while client.recv(65536):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for each in clients:
            each.close()
        thread.join(TIMEOUT)


def post(client: Client, *texts: str, **options: Any) -> list[str]:
    """What becomes of *texts*, a request each."""
    answers = client.post("/x", (Document(text) for text in texts), request_size=1, return_results=True, **options)
    return sorted(doc.text for answer in answers for doc in answer.docs)


def asked(port: int, **options: Any) -> FlowError:
    """How a client fails."""
    client = Client(protocol="grpc", host="127.0.0.1", port=port)
    try:
        with pytest.raises(FlowError) as failed:
            post(client, "a", **options)
        return failed.value
    finally:
        client.close()


class TestServers:
    def test_grpcio(self) -> None:
        """Many requests, large ones, and several clients' threads."""
        with grpcio_server(**{"grpc.max_receive_message_length": -1}) as port:
            client = Client(protocol="grpc", host="127.0.0.1", port=port)
            assert post(client, *(f"t{n}" for n in range(500))) == sorted(f"T{n}" for n in range(500))
            assert post(client, "a" * 5_000_000) == ["A" * 5_000_000]
            with ThreadPoolExecutor(8) as pool:
                told = list(pool.map(lambda n: post(client, f"t{n}"), range(100)))
            assert told == [[f"T{n}"] for n in range(100)]
            client.close()

    def test_one_stream_at_a_time(self) -> None:
        """Where a connection may have one stream alone, more calls have connections of their own."""
        with grpcio_server(**{"grpc.max_concurrent_streams": 1}) as port:
            client = Client(protocol="grpc", host="127.0.0.1", port=port)
            with ThreadPoolExecutor(8) as pool:
                told = list(pool.map(lambda n: post(client, f"t{n}"), range(40)))
            assert told == [[f"T{n}"] for n in range(40)]
            channel = client._kept[0]
            wait_for(lambda: deferLater(reactor, 0.2, lambda: None))  # type: ignore[arg-type]
            assert len([each for each in channel._connections if each.why is None]) <= 1  # type: ignore[attr-defined]
            client.close()

    def test_asyncio(self) -> None:
        """Many calls at once."""

        async def ask(port: int) -> list[str]:
            async with Client(protocol="grpc", host="127.0.0.1", port=port, asyncio=True) as client:

                async def one(n: int) -> str:
                    async for answer in client.post("/x", Document(f"t{n}"), return_results=True):
                        return str(answer.docs[0].text)
                    raise AssertionError

                return await asyncio.gather(*(one(n) for n in range(200)))

        with grpcio_server() as port:
            assert asyncio.run(ask(port)) == [f"T{n}" for n in range(200)]

    def test_flow_behind_grpcio(self) -> None:
        """Our own flow with grpcio in front."""
        with Flow(protocol="grpc", grpc="grpcio", host="127.0.0.1") as flow:
            client = Client(protocol="grpc", host="127.0.0.1", port=flow.port)
            assert post(client, "a", "b") == ["a", "b"]
            assert [doc.text for doc in client.stream("/x", [Document("a"), Document("b")])] == ["a", "b"]
            client.close()

    def test_grpc_js(self, tmp_path: Any) -> None:
        """Node's server."""
        peers = ROOT / ".venv/peers/node_modules"
        if not (peers / "@grpc/grpc-js").exists() or shutil.which("node") is None:
            assert not os.environ.get("CI"), "no grpc-js"
            pytest.skip("no grpc-js: `make .venv/peers` installs it")
        (tmp_path / "server.js").write_text(SERVER)
        environment = {**os.environ, "NODE_PATH": str(peers)}
        command = ["node", str(tmp_path / "server.js"), str(ROOT / "proto/jina.proto"), str(ROOT / "proto")]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            client = Client(protocol="grpc", host="127.0.0.1", port=port)
            assert post(client, *(f"t{n}" for n in range(300))) == sorted(f"T{n}" for n in range(300))
            assert post(client, "a" * 2_000_000) == ["A" * 2_000_000]
            client.close()
        finally:
            process.terminate()
            process.wait(TIMEOUT)
            process.stdout.close()  # type: ignore[union-attr]

    def test_proxies_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are for the web."""
        for name in ("http_proxy", "grpc_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        with grpcio_server() as port:
            client = Client(protocol="grpc", host="127.0.0.1", port=port)
            assert post(client, "a") == ["A"]
            client.close()

    def test_later(self) -> None:
        """A client that has found nobody finds who is there later, at the same address; one that went away, too."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        client = Client(protocol="grpc", host="127.0.0.1", port=port)
        with pytest.raises(FlowError, match=f"cannot connect to 127.0.0.1:{port}"):
            post(client, "a")
        for _ in range(2):
            with Flow(protocol="grpc", host="127.0.0.1", port=port):
                assert post(client, "a") == ["a"]
            with pytest.raises(FlowError):
                post(client, "a")
        client.close()


class TestFailures:
    @pytest.mark.parametrize(
        ("answers", "name", "detail"),
        [
            ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "Unavailable", "cannot connect"),
            ([lambda client: client.close()], "Unavailable", "cannot connect"),
            ([HELLO, lambda client: client.close()], "Unavailable", "lost"),
            ([HELLO, reset(1, CANCEL)], "Unavailable", "cancelled by the server"),
            ([HELLO, reset(1, 7)], "Unavailable", "refused"),
            ([HELLO, reset(1, 2)], "Unavailable", "the stream was reset"),
            ([HELLO, goaway(0, 0)], "Unavailable", "refused"),
            ([HELLO, headers(status(502), True, 1, 1 << 14)], "Unavailable", "HTTP status 502"),
            ([HELLO, headers(status(200), True, 1, 1 << 14)], "Unavailable", "not a server of gRPC"),
            ([HELLO, headers(BEGIN, False, 1, 1 << 14) + ended()], "Unavailable", "the stream ended"),
            ([HELLO, headers(BEGIN, False, 1, 1 << 14) + ended(12, b"no %C3%BC")], "Unavailable", "no ü"),
            ([HELLO, headers(BEGIN, False, 1, 1 << 14) + ended(8, b"too much")], "PayloadTooLarge", "too much"),
            ([HELLO, headers(BEGIN, False, 1, 1 << 14) + frame(DATA, END_STREAM, 1)], "Unavailable", "without a status"),
            ([HELLO, headers(BEGIN, False, 1, 1 << 14) + frame(DATA, 0, 1, framed(b"\xff"))], "Unavailable", "not an answer"),
            ([HELLO, frame(DATA, 0, 1, b"x")], "Unavailable", "data before its first fields"),
            ([HELLO + goaway(0, 0)], "Unavailable", "takes no calls"),
            ([HELLO, frame(HEADERS, 4, 3, BEGIN)], "Unavailable", "PROTOCOL_ERROR"),
            ([HELLO, frame(DATA, 0, 1, bytes(16385))], "Unavailable", "FRAME_SIZE_ERROR"),
            ([say({3: 0})], "Unavailable", "takes no calls"),
            ([HELLO, say({5: 1})], "Unavailable", "PROTOCOL_ERROR"),
        ],
    )  # fmt: skip
    def test_what_no_server_should_do(self, answers: list[Any], name: str, detail: str) -> None:
        """Each is an error that says so; nothing hangs, and nobody else's answer is taken for it."""
        with script(*answers) as port:
            failed = asked(port, timeout=20)
            assert failed.name == name
            assert detail in failed.detail

    def test_a_black_hole(self) -> None:
        """Who accepts and says nothing: in the time that the caller gives."""
        with script(b"") as port:
            assert asked(port, timeout=1).name == "DeadlineExceeded"

    def test_what_is_cancelled(self) -> None:
        """A stream that is cancelled is reset; the connection goes on."""
        got: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def read(client: socket.socket) -> None:
            client.sendall(HELLO)
            while data := client.recv(65536):
                got.put(data)

        with script(read) as port:
            client = Client(protocol="grpc", host="127.0.0.1", port=port)
            stream = client.stream("/x", Document("a"))
            data = b""
            while b"/x" not in data:
                data += got.get(timeout=TIMEOUT)
            stream.cancel()
            with contextlib.suppress(FlowError):
                list(stream)
            data = b""
            while not data.endswith(reset(1, CANCEL)):
                data += got.get(timeout=TIMEOUT)
            client.close()

    def test_too_large(self) -> None:
        """What the server does not take is told as such."""
        with Flow(protocol="grpc", host="127.0.0.1", limits=Limits(max_body=1000)) as flow:
            client = Client(protocol="grpc", host="127.0.0.1", port=flow.port)
            with pytest.raises(FlowError) as failed:
                post(client, "a" * 2000)
            assert failed.value.name == "PayloadTooLarge"
            assert post(client, "a") == ["a"]
            client.close()


def test_the_preface_comes_first() -> None:
    """It is sent at once, with our settings."""
    got: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            got.put(client.recv(65536))

    thread = threading.Thread(target=serve)
    thread.start()
    asked(listening.getsockname()[1], timeout=5)
    thread.join(TIMEOUT)
    listening.close()
    first = got.get(timeout=TIMEOUT)
    assert first.startswith(PREFACE)
    assert str(frames_of(first)[0]) == "SETTINGS"


SERVER = """
const grpc = require("@grpc/grpc-js"), loader = require("@grpc/proto-loader");
const [file, folder] = process.argv.slice(2);
const { jina } = grpc.loadPackageDefinition(loader.loadSync(file, { includeDirs: [folder], keepCase: true }));
const server = new grpc.Server();
server.addService(jina.JinaRPC.service, {
  Call(call) {
    call.on("data", (message) => {
      for (const doc of message.data.docs) doc.text = doc.text.toUpperCase();
      call.write(message);
    });
    call.on("end", () => call.end());
  },
});
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => console.log(port));
"""
