"""One port for HTTP, WebSocket and gRPC; and gRPC's clients that are not ours, each for real."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import grpc
import grpclib.client
import httpx
import pytest
import websockets.sync.client

from tests.grpc_calls import call, proto
from tests.http2 import frames_of, request
from tests.support import ROOT, TIMEOUT, Server, free_port
from twisted_flow import Client, Document
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.wire.http2.codes import ACK, HTTP_1_1_REQUIRED, PING, PREFACE, RST_STREAM, SETTINGS
from twisted_flow.wire.http2.frames import NUMBER, frame

EXECUTORS = """
from twisted_flow import Executor, requests

class Upper(Executor):
    @requests(on="/upper")
    def upper(self, docs):
        for doc in docs:
            doc.text = doc.text.upper()

    @requests(on="/letters")
    def letters(self, docs):
        from twisted_flow import Document
        for letter in docs[0].text:
            yield Document(letter)
"""
OWN = ROOT / "examples/own_service"
PEERS = ROOT / ".venv/peers/node_modules"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made = tmp_path_factory.mktemp("one_port")
    (made / "mine.py").write_text(EXECUTORS)
    return made


ALL = ("--protocol=http", "--protocol=websocket", "--protocol=grpc", "--uses=mine.py:Upper", "--host=127.0.0.1")


@pytest.fixture(scope="module")
def port(folder: pathlib.Path) -> Iterator[int]:
    number = free_port()
    server = Server(*ALL, f"--port={number}", f"--grpc-services={OWN}/shouting.py:Shouting", cwd=folder)
    try:
        server.wait_for_line("Protocol:.*HTTP, WEBSOCKET, GRPC")
        yield number
    finally:
        server.stop()
        assert "Traceback" not in "\n".join(server.lines)


def tool(name: str) -> str:
    """A program that has to be there in CI."""
    found = shutil.which(name)
    if found is None:
        assert not os.environ.get("CI"), f"no {name}"
        pytest.skip(f"no {name}: `make debian` installs it")
    return found


def node(*arguments: str, cwd: pathlib.Path | None = None) -> str:
    """What a program for Node prints, which has the packages of `make test`."""
    if not (PEERS / "@grpc/grpc-js").exists():
        assert not os.environ.get("CI"), "no grpc-js"
        pytest.skip("no grpc-js: `make .venv/peers` installs it")
    environment = {**os.environ, "NODE_PATH": str(PEERS)}
    done = subprocess.run([tool("node"), *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked_over_all(http: httpx.Client, open_websocket: Any, target: str) -> list[str]:
    """The same question over each protocol."""
    body = {"data": [{"text": "a"}], "execEndpoint": "/upper"}
    told = [http.post("/post", json=body).json()["data"]["docs"][0]["text"]]
    with open_websocket() as socket:
        socket.send(json.dumps(body))
        told.append(json.loads(socket.recv(TIMEOUT))["data"]["docs"][0]["text"])
    with grpc.insecure_channel(target) as channel:
        told.append(next(call(channel, [proto("/upper", "a")])).data.docs[0].text)
    return told


class TestOnePort:
    def test_tcp(self, port: int) -> None:
        """A port, which /status tells of."""
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT) as http:
            told = asked_over_all(
                http, lambda: websockets.sync.client.connect(f"ws://127.0.0.1:{port}/"), f"127.0.0.1:{port}"
            )
            assert told == ["A", "A", "A"]
            assert http.get("/status").json()["protocols"] == ["http", "websocket", "grpc"]

    def test_our_client(self, port: int) -> None:
        """Over each protocol, whole and in parts."""
        for protocol in ("http", "websocket", "grpc"):
            client = Client(protocol=protocol, host="127.0.0.1", port=port)
            answers = client.post("/upper", [Document("a"), Document("b")], return_results=True)
            texts = [doc.text for doc in answers[0].docs]
            assert texts == ["A", "B"]
            assert [doc.text for doc in client.stream("/letters", Document("abc"))] == ["a", "b", "c"]
            client.close()

    def test_unix_socket(self, folder: pathlib.Path) -> None:
        """A path."""
        server = Server(*ALL, "--listen=unix:all.socket", cwd=folder)
        path = str(folder / "all.socket")
        try:
            server.wait_for_line("ready and listening")
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=path), base_url="http://localhost", timeout=TIMEOUT
            ) as http:
                told = asked_over_all(
                    http, lambda: websockets.sync.client.unix_connect(path, "ws://localhost/"), f"unix:{path}"
                )
            assert told == ["A", "A", "A"]
        finally:
            server.stop()

    def test_the_preface_byte_by_byte(self, port: int) -> None:
        """However the first bytes are cut up."""
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in PREFACE + frame(SETTINGS, 0, 0):
                client.sendall(bytes((byte,)))
            client.sendall(frame(PING, 0, 0, b"are you?"))
            assert b"are you?" in read_until(client, b"are you?")

    def test_behind_another_request(self, port: int) -> None:
        """Who speaks HTTP/1.1 may go on with HTTP/2; what was asked before is answered first."""
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
            asked = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n" * 2
            client.sendall(asked + PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"are you?"))
            assert read_until(client, b"are you?").count(b"HTTP/1.1 200 OK") == 2

    def test_no_grpc(self, port: int) -> None:
        """HTTP/2 that is no call of gRPC is told to use HTTP/1.1 (RFC 9113 section 7), and the connection lives."""
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
            fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/status")]
            sent = request(1, ended=True, fields=fields) + frame(PING, 0, 0, b"are you?")
            client.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0) + sent)
            told = frames_of(read_until(client, b"are you?"))
            (reset,) = [each for each in told if each.kind == RST_STREAM]
            assert NUMBER.unpack(reset.payload)[0] == HTTP_1_1_REQUIRED

    def test_two_ports(self, folder: pathlib.Path) -> None:
        """Apart, as before; where there is only gRPC, who asks by HTTP is told so."""
        numbers = free_port(), free_port()
        options = ("--protocol=http", "--protocol=grpc", *(f"--port={number}" for number in numbers))
        server = Server(*options, "--uses=mine.py:Upper", "--host=127.0.0.1", cwd=folder)
        try:
            server.wait_for_line("ready and listening")
            server.wait_for_line(f"127.0.0.1:{numbers[1]}")
            assert httpx.get(f"http://127.0.0.1:{numbers[0]}/status").json()["protocols"] == ["http"]
            told = httpx.get(f"http://127.0.0.1:{numbers[1]}/status")
            assert (told.status_code, told.json()["detail"]) == (503, "HTTP is not served here")
            with grpc.insecure_channel(f"127.0.0.1:{numbers[1]}") as channel:
                assert next(call(channel, [proto("/upper", "a")])).data.docs[0].text == "A"
        finally:
            server.stop()


def read_until(client: socket.socket, end: bytes) -> bytes:
    """What comes, up to *end*."""
    got = b""
    while not got.endswith(end):
        more = client.recv(65536)
        assert more, got
        got += more
    return got


class TestPeers:
    def test_grpcio(self, port: int) -> None:
        """Its asynchronous client: many calls at once, on one connection."""

        async def ask() -> list[str]:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                post = channel.unary_unary("/twisted_flow.Flow/Post")
                bodies = [proto("/upper", f"t{n}").SerializeToString() for n in range(500)]
                answers = await asyncio.gather(*(post(body, timeout=TIMEOUT) for body in bodies))
                return [RequestProto.FromString(answer).data.docs[0].text for answer in answers]

        assert asyncio.run(ask()) == [f"T{n}" for n in range(500)]

    def test_grpclib(self, port: int) -> None:
        """Another implementation in Python."""

        async def ask() -> tuple[list[str], list[str], str]:
            async with grpclib.client.Channel("127.0.0.1", port) as channel:
                post = grpclib.client.UnaryUnaryMethod(channel, "/twisted_flow.Flow/Post", RequestProto, RequestProto)
                one = [(await post(proto("/upper", text), timeout=TIMEOUT)).data.docs[0].text for text in "ab"]
                parts = grpclib.client.UnaryStreamMethod(
                    channel, "/twisted_flow.Flow/Stream", RequestProto, RequestProto
                )
                came = await parts(proto("/letters", "abc"), timeout=TIMEOUT)
                both = grpclib.client.StreamStreamMethod(channel, "/jina.JinaRPC/Call", RequestProto, RequestProto)
                async with both.open(timeout=TIMEOUT) as stream:
                    await stream.send_message(proto("/upper", "c"))
                    first = await stream.recv_message()
                    await stream.end()
                    assert await stream.recv_message() is None
                assert first is not None
                return one, [doc.text for part in came for doc in part.data.docs], first.data.docs[0].text

        assert asyncio.run(ask()) == (["A", "B"], ["a", "b", "c"], "C")

    def test_grpc_js(self, port: int, folder: pathlib.Path) -> None:
        """Node's: a call, a stream of answers, a stream both ways, an error, a deadline, a cancel."""
        (folder / "peer.js").write_text(PEER)
        told = node(str(folder / "peer.js"), str(port), str(ROOT / "proto")).split("\n")
        assert told[:-1] == ["A", "a,b,c", "B,C", "INVALID_ARGUMENT ValidationError", "DEADLINE_EXCEEDED", "CANCELLED"]

    def test_own_service(self, port: int) -> None:
        """The example with a proto of its own, from Node."""
        told = node(str(OWN / "ask.js"), str(port), "hello", "you", "").splitlines()
        assert sorted(told) == ["HELLO", "HELLO YOU ", "INVALID_ARGUMENT: there is nothing to shout", "YOU"]

    def test_curl(self, port: int) -> None:
        """It asks by HTTP/2, and, being told so, by HTTP/1.1."""
        url = f"http://127.0.0.1:{port}/status"
        done = subprocess.run(
            [tool("curl"), "-s", "--http2-prior-knowledge", url], capture_output=True, text=True, timeout=TIMEOUT
        )
        assert json.loads(done.stdout)["ready"] is True

    def test_nghttp(self, port: int, folder: pathlib.Path) -> None:
        """One call by hand."""
        body = proto("/upper", "hello").SerializeToString()
        (folder / "message").write_bytes(b"\0" + len(body).to_bytes(4, "big") + body)
        url = f"http://127.0.0.1:{port}/twisted_flow.Flow/Post"
        command = [tool("nghttp"), "-v", "-d", str(folder / "message"), "-H", "content-type: application/grpc", url]
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT)
        assert b"HELLO" in done.stdout
        assert b"grpc-status: 0" in done.stdout
        command = [tool("h2load"), "-n2000", "-c3", "-m20", *command[2:]]
        report = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT).stdout
        assert re.search("2000 succeeded, 0 failed, 0 errored, 0 timeout", report), report


PEER = """
const [port, protos] = process.argv.slice(2);
const grpc = require("@grpc/grpc-js"), loader = require("@grpc/proto-loader");
const load = (name) => grpc.loadPackageDefinition(loader.loadSync(name, { includeDirs: [protos] }));
const credentials = grpc.credentials.createInsecure();
const flow = new (load("twisted_flow.proto").twisted_flow.Flow)(`127.0.0.1:${port}`, credentials);
const jina = new (load("jina.proto").jina.JinaRPC)(`127.0.0.1:${port}`, credentials);
const ask = (endpoint, text) => ({ header: { execEndpoint: endpoint }, data: { docs: [{ text }] } });
const post = (message, options) => new Promise((resolve) => flow.post(message, new grpc.Metadata(), options ?? {},
  (error, answer) => resolve(error ?? answer)));
const texts = (stream) => new Promise((resolve) => {
  const found = [];
  stream.on("data", (part) => (part.data?.docs ?? []).forEach((doc) => found.push(doc.text)));
  stream.on("end", () => resolve(found));
  stream.on("error", (error) => resolve(grpc.status[error.code]));
});
(async () => {
  console.log((await post(ask("/upper", "a"))).data.docs[0].text);
  console.log((await texts(flow.stream(ask("/letters", "abc")))).join());
  const both = jina.call();
  const came = texts(both);
  both.write(ask("/upper", "b"));
  both.write(ask("/upper", "c"));
  both.end();
  console.log((await came).sort().join());
  const wrong = await post(ask("", "x"));
  console.log(grpc.status[wrong.code], wrong.metadata.get("x-error")[0]);
  const held = await texts(jina.call(new grpc.Metadata(), { deadline: Date.now() + 300 }));
  console.log(held);
  const open = jina.call();
  const ended = texts(open);
  open.write(ask("/upper", "d"));
  setTimeout(() => open.cancel(), 50);
  console.log(await ended);
  flow.close();
  jina.close();
})();
"""
