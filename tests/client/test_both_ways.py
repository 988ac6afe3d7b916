"""`Client.open`, over each protocol, to a flow whose executor is here, in a process, or elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support import TIMEOUT, free_port
from twisted_flow import Client, Document, DocumentArray, Executor, Flow, Limits, requests
from twisted_flow.errors import BadRequest, DeadlineExceeded, ExecutorError, FlowError, Unavailable


class Talks(Executor):
    """Listens while it speaks, and notes which of its methods have ended."""

    def __init__(self, ended: queue.SimpleQueue[str] | None = None) -> None:
        self.ended = ended or queue.SimpleQueue()

    @requests(on="/echo")
    async def echo(self, docs: AsyncIterator[Document], parameters: dict[str, Any]) -> AsyncIterator[Document]:
        heard = 0
        try:
            async for doc in docs:
                heard += 1
                if heard == parameters.get("fails"):
                    raise ValueError("as asked")
                yield Document(f"{doc.text} {heard}")
                if heard == parameters.get("most"):
                    return
            yield Document(f"all {heard}")
        finally:
            self.ended.put("echo")

    @requests(on="/size")
    async def size(self, docs: AsyncIterator[Document]) -> Document:
        return Document(str(sum([len(doc.buffer) async for doc in docs])))

    @requests(on="/deaf")
    async def deaf(self, docs: AsyncIterator[Document]) -> AsyncIterator[Document]:
        yield Document("go on")
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.put("deaf")

    @requests(on="/list")
    def whole(self, docs: DocumentArray) -> Document:
        return Document(f"{len(docs)} at once")


BOTH_WAYS = ["grpc", "websocket"]
KINDS = [f"{protocol}, {where}" for protocol in BOTH_WAYS for where in ("here", "process", "elsewhere")]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    protocol, _, where = str(request.param).partition(", ")
    engine = "process" if where == "process" else None
    far = Flow(protocol=protocol, port=free_port(), host="127.0.0.1").add(uses=Talks, engine=engine)
    with far:
        if where != "elsewhere":
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


class TestInThread:
    def test_a_talk(self, client: Client) -> None:
        """Each word is answered before the next is said; behind the end there is one more, and the response."""
        with client.open("/echo") as talk:
            for number, text in enumerate(["one", "two", "three"], 1):
                talk.send(text)
                assert next(talk).text == f"{text} {number}"
            talk.end()
            assert [doc.text for doc in talk] == ["all 3"]
            assert talk.response is not None
            assert talk.response.routes[0].pod == "gateway"

    def test_all_first(self, client: Client) -> None:
        """What is sent need not be answered at once; nothing is lost, and its order stays."""
        with client.open("/echo") as talk:
            for number in range(10):
                talk.send(Document(str(number)))
            talk.end()
            assert [doc.text for doc in talk] == [*(f"{n} {n + 1}" for n in range(10)), "all 10"]

    def test_many(self, client: Client) -> None:
        """One thread speaks, another one listens."""
        talk = client.open("/echo")

        def speak() -> None:
            for number in range(2000):
                talk.send(str(number))
            talk.end()

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert [doc.text for doc in talk] == [*(f"{n} {n + 1}" for n in range(2000)), "all 2000"]
        speaker.join(TIMEOUT)

    def test_large_ones(self, client: Client) -> None:
        """Megabytes, as fast as they are taken."""
        talk = client.open("/size")
        for _ in range(30):
            talk.send(bytes(10**6))
        talk.end()
        assert [doc.text for doc in talk] == ["30000000"]

    def test_whom_it_reaches(self, client: Client) -> None:
        """A method that takes a list is called when all have come."""
        talk = client.open("/list")
        for text in ("a", "b", "c"):
            talk.send(text)
        talk.end()
        assert [doc.text for doc in talk] == ["3 at once"]

    def test_what_is_sent(self, client: Client) -> None:
        """Whatever makes a document, as elsewhere; what does not is told at once, and harms nothing."""
        with client.open("/echo") as talk:
            for item in ({"text": "a"}, Document("a"), "a"):
                talk.send(item)
                assert next(talk).text.startswith("a")
            with pytest.raises(TypeError, match="a document cannot be made of int"):
                talk.send(5)
            talk.end()
            with pytest.raises(RuntimeError, match="end"):
                talk.send("a")

    def test_what_cannot_travel(self, client: Client) -> None:
        """A document that no message can have is the caller's mistake."""
        talk = client.open("/echo")
        talk.send("a")
        talk.send(Document("b", tags={"x": object()}))
        talk.end()
        with pytest.raises(FlowError, match="the request cannot be encoded"):
            list(talk)

    def test_an_error(self, client: Client) -> None:
        """It is raised behind what came before it, and from then on by `send`."""
        talk = client.open("/echo", parameters={"fails": 2})
        talk.send("a")
        talk.send("b")
        assert next(talk).text == "a 1"
        with pytest.raises(ExecutorError, match="raised ValueError"):
            next(talk)
        with pytest.raises(ExecutorError, match="raised ValueError"):
            talk.send("c")

    def test_an_early_end(self, client: Client) -> None:
        """The server need not take all; a speaker that waits is told so."""
        talk = client.open("/echo", parameters={"most": 1})
        talk.send("a")
        assert [doc.text for doc in talk] == ["a 1"]
        with pytest.raises(BadRequest, match="nothing more is taken"):
            talk.send("c")

    def test_who_does_not_listen_pauses_who_speaks(self, client: Client) -> None:
        """`send` waits; cancelling frees it, and ends the method."""
        talk = client.open("/deaf")
        assert next(talk).text == "go on"
        sent: list[int] = []
        freed: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def speak() -> None:
            try:
                for number in range(10_000):
                    talk.send(bytes(1 << 16))
                    sent.append(number)
            except FlowError as error:
                freed.put(error)

        speaker = threading.Thread(target=speak)
        speaker.start()
        speaker.join(0.5)
        assert speaker.is_alive()
        talk.cancel()
        freed.get(timeout=TIMEOUT)
        speaker.join(TIMEOUT)
        assert len(sent) < 2000

    def test_several_that_listen(self, client: Client) -> None:
        """Each document reaches one of them; all see the end, or that it was cancelled."""
        for cancelled in (False, True):
            talk = client.open("/echo")
            heard: list[list[str]] = [[], [], []]
            threads = [
                threading.Thread(target=lambda found=each: found.extend(doc.text for doc in talk))  # type: ignore[misc]
                for each in heard
            ]
            for thread in threads:
                thread.start()
            talk.send("a")
            (talk.cancel if cancelled else talk.end)()
            for thread in threads:
                thread.join(TIMEOUT)
                assert not thread.is_alive()
            if not cancelled:
                assert sorted(text for each in heard for text in each) == ["a 1", "all 1"]

    def test_its_time(self, client: Client) -> None:
        """A request in parts has the time that it was given, as any other."""
        talk = client.open("/echo", timeout=0.3)
        talk.send("a")
        assert next(talk).text == "a 1"
        with pytest.raises(DeadlineExceeded):
            next(talk)


class TestCoroutines:
    def test_a_talk(self, server: tuple[str, int]) -> None:
        """The same, awaited."""

        async def run() -> None:
            async with (
                Client(protocol=server[0], host="127.0.0.1", port=server[1], asyncio=True) as client,
                client.open("/echo") as talk,
            ):
                await talk.send("one")
                assert (await anext(talk)).text == "one 1"
                for number in range(5):
                    await talk.send(str(number))
                talk.end()
                assert [doc.text async for doc in talk] == [*(f"{n} {n + 2}" for n in range(5)), "all 6"]
                with pytest.raises(RuntimeError, match="end"):
                    await talk.send("more")

        asyncio.run(run())

    def test_speaking_and_listening(self, server: tuple[str, int]) -> None:
        """In two tasks, with more than fits into any buffer."""

        async def run() -> None:
            client = Client(protocol=server[0], host="127.0.0.1", port=server[1], asyncio=True)
            talk = client.open("/echo")

            async def speak() -> None:
                for number in range(1000):
                    await talk.send(str(number))
                talk.end()

            speaking = asyncio.create_task(speak())
            assert len([doc async for doc in talk]) == 1001
            await speaking
            await client.aclose()

        asyncio.run(run())

    def test_an_error(self, server: tuple[str, int]) -> None:
        """Whoever waits to send is told what ended it."""

        async def run() -> None:
            client = Client(protocol=server[0], host="127.0.0.1", port=server[1], asyncio=True)
            talk = client.open("/echo", parameters={"fails": 1})

            async def speak() -> None:
                while True:
                    await talk.send(bytes(1000))

            with pytest.raises(ExecutorError):
                await speak()
            await client.aclose()

        asyncio.run(run())

    def test_several_tasks(self, server: tuple[str, int]) -> None:
        """They may all speak, and listen, at once; cancelling frees those that wait."""

        async def run() -> None:
            client = Client(protocol=server[0], host="127.0.0.1", port=server[1], asyncio=True)
            talk = client.open("/size")

            async def speak() -> None:
                for _ in range(60):
                    await talk.send(bytes(200_000))

            await asyncio.wait_for(asyncio.gather(*(speak() for _ in range(3))), TIMEOUT)
            talk.end()
            assert [doc.text async for doc in talk] == ["36000000"]

            deaf = client.open("/deaf")

            async def speak_on() -> None:
                with contextlib.suppress(FlowError):
                    while True:
                        await deaf.send(bytes(1 << 20))

            async def listen() -> list[str]:
                return [doc.text async for doc in deaf]

            doing = [asyncio.create_task(each()) for each in (speak_on, speak_on, speak_on, listen, listen)]
            await asyncio.sleep(0.3)
            deaf.cancel()
            await asyncio.wait_for(asyncio.gather(*doing), TIMEOUT)
            await client.aclose()

        asyncio.run(run())

    def test_never_begun(self, server: tuple[str, int]) -> None:
        """One of which nothing was wanted is cancelled as any other."""

        async def run() -> None:
            client = Client(protocol=server[0], host="127.0.0.1", port=server[1], asyncio=True)
            async with client.open("/echo"):
                pass
            talk = client.open("/echo")
            talk.cancel()
            with pytest.raises(BadRequest):
                await talk.send("a")
            async with client.stream("/echo", "a"):
                pass
            await client.aclose()

        asyncio.run(run())


class TestHTTP:
    def test_collected(self) -> None:
        """Over HTTP they are sent at the end, and the answer comes in parts all the same."""
        with Flow(protocol="http", host="127.0.0.1").add(uses=Talks) as flow, flow.open("/echo") as talk:
            for text in ("a", "b"):
                talk.send(text)
            talk.end()
            assert [doc.text for doc in talk] == ["a 1", "b 2", "all 2"]

    def test_elsewhere(self) -> None:
        """And so they are to a flow elsewhere over HTTP."""
        far = Flow(protocol="http", port=free_port(), host="127.0.0.1").add(uses=Talks)
        near = Flow(protocol="websocket", host="127.0.0.1").add(name="far", host=f"http://127.0.0.1:{far.port}")
        with far, near, near.open("/echo") as talk:
            talk.send("a")
            talk.end()
            assert [doc.text for doc in talk] == ["a 1", "all 1"]


@pytest.mark.parametrize("protocol", BOTH_WAYS)
@pytest.mark.parametrize("endpoint", ["/echo", "/deaf"])
def test_the_client_goes_away(protocol: str, endpoint: str) -> None:
    """The method ends, also where so much is sent that the server does not read on; leaving a `with` is going away."""
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    with Flow(protocol=protocol, host="127.0.0.1").add(uses=Talks(ended)) as flow, flow.open(endpoint) as talk:
        talk.send("a")
        next(talk)

        def speak() -> None:
            with contextlib.suppress(FlowError):
                while endpoint == "/deaf":
                    talk.send(bytes(1 << 16))

        speaker = threading.Thread(target=speak)
        speaker.start()
        speaker.join(0.3)
        talk.cancel()
        assert ended.get(timeout=10) == endpoint[1:]
        speaker.join(TIMEOUT)


@pytest.mark.parametrize("protocol", BOTH_WAYS)
def test_the_server_goes_away(protocol: str) -> None:
    """Whoever speaks, or listens, is told so."""
    flow = Flow(protocol=protocol, host="127.0.0.1", limits=Limits(drain_grace=0.1)).add(uses=Talks)
    with flow:
        talk = Client(protocol=protocol, host="127.0.0.1", port=flow.port).open("/echo")
        talk.send("a")
        assert next(talk).text == "a 1"
    with pytest.raises(Unavailable):
        next(talk)
    with pytest.raises(Unavailable):
        talk.send("b")
