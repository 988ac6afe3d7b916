"""`Client.stream`, over each protocol, to a flow whose executor is here, or elsewhere."""

from __future__ import annotations

import asyncio
import gc
import queue
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support import TIMEOUT, free_port
from twisted_flow import Client, Document, DocumentArray, Executor, Flow, requests
from twisted_flow.errors import DeadlineExceeded, ExecutorError, Unavailable

ENDED: queue.SimpleQueue[int] = queue.SimpleQueue()


class Words(Executor):
    """Says numbers."""

    @requests(on="/count")
    async def count(self, docs: DocumentArray, parameters: dict[str, Any]) -> AsyncIterator[Document]:
        made = 0
        try:
            for made in range(parameters.get("number", 5)):
                if made == parameters.get("fails"):
                    raise ValueError("as asked")
                if parameters.get("waits"):
                    await asyncio.sleep(0)
                size = int(parameters.get("size", 0))
                yield Document(b"x" * size) if size else Document(f"{made} {' '.join(docs.texts)}")
        finally:
            ENDED.put(made)

    @requests(on="/def")
    def plain(self) -> Iterator[Document]:
        yield Document("a")
        yield Document("b")

    @requests(on="/hang")
    async def hang(self) -> AsyncIterator[Document]:
        yield Document("first")
        await asyncio.Event().wait()

    @requests(on="/whole")
    def whole(self, docs: DocumentArray) -> None:
        docs[0].text = "whole"


PROTOCOLS = ["grpc", "http", "websocket"]
KINDS = [*PROTOCOLS, *(f"{protocol}, elsewhere" for protocol in PROTOCOLS)]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    protocol, _, elsewhere = str(request.param).partition(", ")
    far = Flow(protocol=protocol, port=free_port(), host="127.0.0.1").add(uses=Words)
    with far:
        if not elsewhere:
            yield protocol, far.port
            return
        scheme = "ws" if protocol == "websocket" else protocol
        near = Flow(protocol=protocol, port=free_port(), host="127.0.0.1")
        near.add(name="far", host=f"{scheme}://127.0.0.1:{far.port}")
        with near:
            yield protocol, near.port


@pytest.fixture
def client(server: tuple[str, int]) -> Iterator[Client]:
    with Client(protocol=server[0], host="127.0.0.1", port=server[1]) as client:
        yield client
    while not ENDED.empty():
        ENDED.get()


class TestInThread:
    def test_documents(self, client: Client) -> None:
        """They come one after another, from a generator of either kind; then there is a response."""
        stream = client.stream("/count", ["x", "y"], parameters={"number": 50})
        assert stream.response is None
        assert [each.text for each in stream] == [f"{number} x y" for number in range(50)]
        response: Any = stream.response
        assert (response.status.code, len(response.docs)) == (0, 0)
        assert "executor0" in [route.pod for route in response.routes]
        assert [each.text for each in client.stream("/def")] == ["a", "b"]

    def test_a_whole_answer(self, client: Client) -> None:
        """An endpoint that does not stream answers with what it has."""
        assert [each.text for each in client.stream("/whole", "x")] == ["whole"]

    def test_as_they_come(self, client: Client) -> None:
        """The first is there while the server makes the next; who leaves the `with` ends that."""
        with client.stream("/hang") as stream:
            assert next(stream).text == "first"
        assert list(stream) == []

    def test_errors(self, client: Client) -> None:
        """An error is raised behind the documents that came; the client lives on."""
        stream = client.stream("/count", "x", parameters={"fails": 2})
        assert next(stream).text == "0 x"
        assert next(stream).text == "1 x"
        with pytest.raises(ExecutorError, match="raised ValueError"):
            next(stream)
        assert list(stream) == []
        with pytest.raises(ExecutorError):
            next(client.stream("/count", "x", parameters={"fails": 0}))

    def test_slowly(self, client: Client) -> None:
        """What the caller does not take yet is not made; when the stream is dropped the server ends it."""
        stream = client.stream("/count", "x", parameters={"number": 10_000, "size": 2**16})
        next(stream)
        del stream
        gc.collect()
        assert ENDED.get(timeout=TIMEOUT) < 1000

    def test_all_of_a_large_one(self, client: Client) -> None:
        """Each arrives once, in order, in whole."""
        stream = client.stream("/count", "x", parameters={"number": 60, "size": 2**20})
        assert sum(len(each.buffer) for each in stream) == 60 * 2**20

    def test_timeout(self, client: Client) -> None:
        """The whole of it has its time."""
        stream = client.stream("/hang", timeout=0.2)
        assert next(stream).text == "first"
        with pytest.raises(DeadlineExceeded):
            next(stream)

    def test_several(self, client: Client) -> None:
        """Streams do not wait for each other, nor other calls for them."""
        streams = [client.stream("/count", f"{name}", parameters={"number": 100}) for name in range(5)]
        firsts = [next(each).text for each in streams]
        assert firsts == [f"0 {name}" for name in range(5)]
        results = client.post("/whole", "x", return_results=True)
        assert results[0].docs.texts == ["whole"]
        assert [len(list(each)) for each in streams] == [99] * 5


class TestOnLoop:
    def test_documents(self, server: tuple[str, int]) -> None:
        """The same by `async for`."""

        async def run() -> tuple[list[str | None], Any]:
            async with Client(protocol=server[0], host="127.0.0.1", port=server[1], asyncio=True) as client:
                stream = client.stream("/count", "x", parameters={"number": 40, "waits": 1})
                texts = [each.text async for each in stream]
                with pytest.raises(ExecutorError):
                    async for _ in client.stream("/count", "x", parameters={"fails": 0}):
                        pass
                async with client.stream("/hang") as hanging:
                    assert (await anext(hanging)).text == "first"
                return texts, stream.response

        texts, response = asyncio.run(run())
        assert texts == [f"{number} x" for number in range(40)]
        assert response.status.code == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_server(protocol: str) -> None:
    """Where there is none it is Unavailable, at the first look."""
    with pytest.raises(Unavailable):
        next(Client(protocol=protocol, host="127.0.0.1", port=free_port()).stream("/count"))


def test_the_flows_own() -> None:
    """A flow is called the same way."""
    with Flow(protocol="http").add(uses=Words) as flow:
        assert [each.text for each in flow.stream("/def")] == ["a", "b"]
