"""Requests in parts over real sockets, to each kind of engine: back-pressure, and what they share a connection with."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.watched import in_sockets, memory, until
from tests.support import TIMEOUT, free_port, serving
from twisted_flow import Client
from twisted_flow.errors import FlowError

EARS = """
import asyncio
from collections.abc import AsyncIterator
from twisted_flow import Document, Executor, requests

class Ears(Executor):
    def __init__(self):
        self.ended = 0
        self.opened = False

    @requests(on="/count")
    async def count(self, docs):
        docs[0].tags = {"ended": self.ended}

    @requests(on="/open")
    async def open(self):
        self.opened = True

    @requests(on="/take")
    async def take(self, docs: AsyncIterator[Document]) -> AsyncIterator[Document]:
        self.opened, size = False, 0
        try:
            async for doc in docs:
                if not size:
                    yield Document("taken")
                size += len(doc.buffer)
                while not self.opened:
                    await asyncio.sleep(0.01)
            yield Document(str(size))
        finally:
            self.ended += 1

    @requests(on="/upper")
    async def upper(self, docs: AsyncIterator[Document]) -> AsyncIterator[Document]:
        async for doc in docs:
            yield Document(doc.text.upper())
"""
ENGINES = {
    "loop": ["--uses=ears.py:Ears"],
    "process": ["--uses=ears.py:Ears", "--engine=process"],
    "a flow elsewhere": ["--config=near.yml"],
}
NEAR = """
jtype: Flow
version: '1'
executors:
  - name: far
    host: {scheme}://127.0.0.1:{port}
"""
_MIB = 2**20


@pytest.fixture(scope="module", params=[f"{kind} {protocol}" for kind in ENGINES for protocol in ("grpc", "websocket")])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("ears")
    (folder / "ears.py").write_text(EARS)
    kind, _, protocol = str(request.param).rpartition(" ")
    port, http = free_port(), free_port()
    options = ["--protocol=http", f"--port={http}", f"--protocol={protocol}", f"--port={port}", *ENGINES[kind]]
    with contextlib.ExitStack() as stack:
        pids = []
        if kind == "a flow elsewhere":
            far = stack.enter_context(serving(f"--protocol={protocol}", "--uses=ears.py:Ears", cwd=folder))
            scheme = "ws" if protocol == "websocket" else "grpc"
            (folder / "near.yml").write_text(NEAR.format(scheme=scheme, port=far.wait_until_ready()))
            pids = [far.process.pid]
        made: Any = stack.enter_context(serving(*options, cwd=folder))
        made.wait_until_ready()
        made.protocol, made.upload_port, made.pids = protocol, port, [*pids, made.process.pid]
        yield made


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(protocol=server.protocol, host="127.0.0.1", port=server.upload_port) as client:
        yield client


def count(client: Client) -> Any:
    return client.post("/count", "x", return_results=True)[0].docs[0].tags


class Speaker:
    """Sends megabytes, in a thread."""

    def __init__(self, talk: Any, number: int) -> None:
        self.talk, self.number, self.sent = talk, number, 0
        self.moved = threading.Event()
        self.thread = threading.Thread(target=self.speak)
        self.thread.start()

    def speak(self) -> None:
        with contextlib.suppress(FlowError):
            for _ in range(self.number):
                self.talk.send(bytes(_MIB))
                self.sent += 1
                self.moved.set()
            self.talk.end()

    def settled(self) -> int:
        """How many have been sent, once no more are."""
        while self.moved.wait(0.5):
            self.moved.clear()
        return self.sent


class TestUploads:
    def test_a_method_that_does_not_take(self, server: Any, client: Client) -> None:
        """300 MB that it does not take are not sent; then it takes them all, and nothing is lost."""
        with client.open("/take") as talk:  # what the libraries take at first is not what an upload takes
            warm = Speaker(talk, 10)
            next(talk)
            client.post("/open")
            assert [doc.text for doc in talk] == [str(10 * _MIB)]
            warm.thread.join(TIMEOUT)
        before = memory(server)
        with client.open("/take") as talk:
            speaker = Speaker(talk, 300)
            assert next(talk).text == "taken"
            assert speaker.settled() < in_sockets(server) + 40
            more = [now - then for now, then in zip(memory(server), before, strict=True)]
            assert max(more) < 30, f"{more} MiB more"
            client.post("/open")
            assert [doc.text for doc in talk] == [str(300 * _MIB)]
            speaker.thread.join(TIMEOUT)

    def test_the_client_goes_away(self, server: Any, client: Client) -> None:
        """In the middle of it the method ends."""
        ended = count(client)["ended"]
        with client.open("/take") as talk:
            speaker = Speaker(talk, 300)
            assert next(talk).text == "taken"
            speaker.settled()
        until(lambda: count(client)["ended"] == ended + 1)
        speaker.thread.join(TIMEOUT)


def test_curl(server: Any, tmp_path: pathlib.Path) -> None:
    """Over HTTP its lines are a request when the last has come, whose answer comes in parts, or as one."""
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"execEndpoint": "/upper"}\n{"text": "one"}\n"two"\n')
    for accept, number in (("application/jsonl", 3), ("text/event-stream", 6), ("application/json", 1)):
        command = ["curl", "-sN", "-H", f"Accept: {accept}", "-H", "Content-Type: application/jsonl", "--data-binary"]
        command += [f"@{lines}", f"http://127.0.0.1:{server.port}/post"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout
        assert len(answer.strip().split("\n")) == number
        assert '"text":"ONE"' in answer
        if accept == "application/json":
            assert [doc["text"] for doc in json.loads(answer)["data"]["docs"]] == ["ONE", "TWO"]
