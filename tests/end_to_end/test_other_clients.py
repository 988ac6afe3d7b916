"""Clients that are not ours, against a server in a process of its own: each protocol, the same questions."""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import httpx
import numpy as np
import pytest
import websockets.sync.client
from google.protobuf import json_format

from tests.support import TIMEOUT, Server, free_port
from twisted_flow.document.protobuf.descriptor import message

EXECUTORS = """
from twisted_flow import Executor, requests

class Upper(Executor):
    @requests(on="/upper")
    def upper(self, docs, parameters):
        for doc in docs:
            doc.text = (doc.text or "").upper() + parameters.get("suffix", "")

    @requests(on="/echo")
    async def echo(self, docs):
        pass

    @requests(on="/fail")
    def fail(self, docs):
        raise ValueError("as asked")
"""
GARBAGE = b"\x08\xff{not a request"
RequestProto = message("jina.RequestProto")


class Told(NamedTuple):
    """An answer, in the words that all protocols have."""

    error: str
    docs: list[dict[str, Any]]
    """As JSON has them; arrays as the dense form's base64."""


Ask = Callable[[list[dict[str, Any] | bytes]], list[Told]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    folder: pathlib.Path = tmp_path_factory.mktemp("other_clients")
    (folder / "mine.py").write_text(EXECUTORS)
    ports = {"http": free_port(), "grpc": free_port()}
    options = ["--protocol=http", "--protocol=websocket", "--protocol=grpc", "--uses=mine.py:Upper"]
    options += [f"--port={ports['http']}", f"--port={ports['http']}", f"--port={ports['grpc']}", "--host=127.0.0.1"]
    server = Server(*options, cwd=folder)
    try:
        server.wait_for_line("ready and listening")
        yield ports
    finally:
        server.stop()


def with_httpx(ports: dict[str, int], asked: list[dict[str, Any] | bytes]) -> list[Told]:
    """Over HTTP: a POST each, on one connection."""
    told = []
    with httpx.Client(base_url=f"http://127.0.0.1:{ports['http']}", timeout=TIMEOUT) as client:
        for each in asked:
            if isinstance(each, bytes):
                reply = client.post("/post", content=each, headers={"Content-Type": "application/json"})
            else:
                reply = client.post("/post", json=each)
            body = reply.json()
            told.append(Told("", body["data"]["docs"]) if reply.is_success else Told(body["title"], []))
    return told


def of_json(raw: str | bytes) -> Told:
    body = json.loads(raw)
    exception = body["status"].get("exception") or {}
    return Told(exception.get("name", ""), body["data"]["docs"] if not exception else [])


def of_proto(raw: bytes) -> Told:
    proto = RequestProto.FromString(raw)
    docs = [json_format.MessageToDict(doc) for doc in proto.data.docs]
    return Told(proto.status.exception.name, docs if not proto.status.exception.name else [])


def to_proto(asked: dict[str, Any] | bytes) -> bytes:
    if isinstance(asked, bytes):
        return asked
    header = {"execEndpoint": asked["execEndpoint"]}
    proto = {"data": {"docs": asked.get("data", [])}, "header": header, "parameters": asked.get("parameters", {})}
    raw: bytes = json_format.ParseDict(proto, RequestProto()).SerializeToString()
    return raw


def with_websockets_json(ports: dict[str, int], asked: list[dict[str, Any] | bytes]) -> list[Told]:
    """Over WebSocket: text frames; a garbled one is no UTF-8 problem, only no request."""
    with websockets.sync.client.connect(f"ws://127.0.0.1:{ports['http']}/", max_size=None) as client:
        told = []
        for each in asked:
            client.send("{not a request" if isinstance(each, bytes) else json.dumps(each))
            told.append(of_json(client.recv(TIMEOUT)))
        return told


def with_websockets_binary(ports: dict[str, int], asked: list[dict[str, Any] | bytes]) -> list[Told]:
    """Over WebSocket: binary frames, as the old client sends them."""
    with websockets.sync.client.connect(f"ws://127.0.0.1:{ports['http']}/", max_size=None) as client:
        told = []
        for each in asked:
            client.send(to_proto(each))
            told.append(of_proto(client.recv(TIMEOUT)))  # type: ignore[arg-type]
        return told


def with_grpcio(ports: dict[str, int], asked: list[dict[str, Any] | bytes]) -> list[Told]:
    """Over gRPC: one stream; answers come as they are ready, so one after another is asked."""
    with grpc.insecure_channel(f"127.0.0.1:{ports['grpc']}", [("grpc.max_receive_message_length", -1)]) as channel:
        call = channel.stream_stream("/jina.JinaRPC/Call")
        return [of_proto(next(call(iter([to_proto(each)]), timeout=TIMEOUT))) for each in asked]


@pytest.fixture(
    params=[with_httpx, with_websockets_json, with_websockets_binary, with_grpcio], ids=lambda f: f.__name__
)
def ask(request: pytest.FixtureRequest, server: dict[str, int]) -> Ask:
    return lambda asked: request.param(server, asked)  # type: ignore[no-any-return]


@pytest.mark.parametrize("count", [1, 57, 5000])
def test_documents(ask: Ask, count: int) -> None:
    """Any number of documents in one request."""
    documents = [{"text": f"größe {n}"} for n in range(count)]
    (told,) = ask([{"data": documents, "execEndpoint": "/upper"}])
    assert [doc["text"] for doc in told.docs] == [f"GRÖSSE {n}" for n in range(count)]


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i8", "|u1"])
def test_nested(ask: Ask, dtype: str) -> None:
    """Arrays of several types, chunks, matches and tags come back as they went."""
    array = np.arange(6).astype(dtype)
    dense = {"buffer": base64.b64encode(array.tobytes()).decode(), "shape": [2, 3], "dtype": dtype}
    document = {
        "id": "a",
        "text": "🎉",
        "embedding": {"dense": dense},
        "chunks": [{"id": "b", "chunks": [{"id": "c", "text": "c"}]}],
        "matches": [{"id": "d", "tags": {"x": [1, {"y": None}]}}],
    }
    (told,) = ask([{"data": [document], "execEndpoint": "/echo"}])
    (back,) = told.docs
    assert back["text"] == "🎉"
    assert back["embedding"]["dense"]["buffer"] == dense["buffer"]
    assert back["embedding"]["dense"]["shape"] == [2, 3]
    assert back["chunks"][0]["chunks"][0]["text"] == "c"
    assert back["matches"][0]["tags"] == {"x": [1, {"y": None}]}


def test_little(ask: Ask) -> None:
    """No documents; parameters alone."""
    told = ask([{"data": [], "execEndpoint": "/upper"}, {"execEndpoint": "/upper", "parameters": {"suffix": "!"}}])
    assert told == [Told("", []), Told("", [])]


def test_bad_among_good(ask: Ask) -> None:
    """Garbage, and an executor that fails, between good requests: each is answered, and the good ones well."""
    good = {"data": [{"text": "a"}], "execEndpoint": "/upper", "parameters": {"suffix": "!"}}
    bad = {"data": [{"text": "a"}], "execEndpoint": "/fail"}
    told = ask([good, GARBAGE, good, bad, good])
    assert [each.error for each in told] == ["", "BadRequest", "", "ExecutorError", ""]
    assert [each.docs[0]["text"] for each in told[::2]] == ["A!", "A!", "A!"]
