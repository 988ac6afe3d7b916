"""Requests in parts, for methods that take their documents as they come: one suite over all engines."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater

from tests.engine.kinds import KINDS, made
from tests.engine.streams import doing, pulled, until
from tests.support import asking, request, wait_for
from twisted_flow import Document, DocumentArray, Executor, dynamic_batching, requests
from twisted_flow.document.weight import weight
from twisted_flow.errors import ConfigurationError, ExecutorError, PayloadTooLarge, Unavailable, ValidationError
from twisted_flow.executor.arrivals import asked_for
from twisted_flow.feed import Feed
from twisted_flow.interfaces import IEngine
from twisted_flow.limits import Limits
from twisted_flow.message import Response, ResponseStream
from twisted_flow.outcome import collected
from twisted_flow.parts import AHEAD, Parts, cost_of
from twisted_flow.pump import Pump


class Ears(Executor):
    """Methods that take documents as they come. What happens to them stands in a file."""

    def __init__(self, file: str) -> None:
        self.file = pathlib.Path(file)

    def note(self, line: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{line}\n")

    @requests(on="/echo")
    async def echo(self, docs: AsyncIterator[Document], parameters: dict[str, Any]) -> AsyncIterator[Document]:
        try:
            async for doc in docs:
                yield Document(doc.text.upper())
            if parameters.get("last"):
                yield Document("last")
        finally:
            self.note("ended")

    @requests(on="/count")
    async def count(self, docs: AsyncIterable[Document], context: Any) -> Document:
        number = total = 0
        self.note("began")
        try:
            async for doc in docs:
                number += 1
                total += doc.embedding.nbytes if doc.embedding is not None else 0
        finally:
            self.note(f"counted {number} {context.cancelled}")
        return Document(f"{number} {total}")

    @requests(on="/two")
    async def two(self, docs: AsyncIterator[Document]) -> list[Document]:
        return [await anext(docs), await anext(docs)]

    @requests(on="/drop")
    async def drop(self, docs: AsyncIterator[Document]) -> None:
        async for doc in docs:
            doc.text = "kept by nobody"

    @requests(on="/forgives")
    async def forgives(self, docs: AsyncIterator[Document]) -> AsyncIterator[Document]:
        try:
            async for doc in docs:
                yield doc
        except ValidationError as error:
            yield Document(f"{error.errors[0].pointer} was wrong")

    @requests(on="/deaf")
    async def deaf(self, docs: AsyncIterator[Document]) -> AsyncIterator[Document]:
        yield Document("first")
        await Deferred().asFuture(__import__("asyncio").get_running_loop())

    @requests(on="/fails")
    async def fails(self, docs: AsyncIterator[Document]) -> None:
        raise ValueError((await anext(docs)).text)

    @requests(on="/list")
    async def whole(self, docs: DocumentArray) -> None:
        for doc in docs:
            doc.text += "!"

    @requests(on="/def")
    def plain(self, docs: DocumentArray) -> Document:
        return Document(str(len(docs)))


@pytest.fixture(params=[kind for kind in KINDS if "batched" not in kind])
def engine(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[IEngine]:
    engine = made(Ears, request.param, uses_with={"file": str(tmp_path / "notes")})
    wait_for(engine.start)
    yield engine
    wait_for(engine.stop)


class Caller:
    """Puts parts in, and knows how much room there is for more."""

    def __init__(self) -> None:
        self.taken = self.cancelled = 0
        self.feed = Feed(self.more, self.cancel)

    def more(self, taken: int) -> None:
        self.taken += taken

    def cancel(self) -> None:
        self.cancelled += 1

    def say(self, *texts: str) -> None:
        for text in texts:
            self.feed.put(DocumentArray([Document(text)]))

    def asks(self, endpoint: str, *docs: Document, stream: bool = True, **parameters: Any) -> Any:
        return request(*docs, endpoint=endpoint, parameters=parameters, stream=stream, parts=self.feed.parts)


class TestParts:
    def test_each_when_it_comes(self, engine: IEngine) -> None:
        """The answer to what has come need not wait for what has not."""

        async def run() -> None:
            caller = Caller()
            stream: Any = await asking(engine, caller.asks("/echo", Document("zero"), last=True))
            assert type(stream) is ResponseStream
            assert await pulled(stream, 1) == [["ZERO"]]
            for text in "one", "two", "three":
                caller.say(text)
                assert await pulled(stream, 1) == [[text.upper()]]
            caller.feed.end()
            assert await pulled(stream) == [["last"]]

        doing(run)

    @pytest.mark.parametrize("stream", [True, False])
    def test_into_one_answer(self, engine: IEngine, stream: bool) -> None:
        """A method that is no generator answers when it returns; whoever asks for no parts gets them collected."""

        async def run() -> None:
            caller = Caller()
            counting = asking(engine, caller.asks("/count", Document("zero"), stream=stream)).addCallback(collected)
            echoing = Caller()
            echo = asking(engine, echoing.asks("/echo", stream=stream)).addCallback(collected)
            for each in caller, echoing:
                each.say(*(str(n) for n in range(100)))
                each.feed.end()
            assert (await counting).docs.texts == ["101 0"]
            assert (await echo).docs.texts == [str(n) for n in range(100)]

        doing(run)

    def test_all_at_once(self, engine: IEngine) -> None:
        """A request that is whole is the same to such a method; what it does not return is not in the answer."""

        async def run() -> None:
            for endpoint, texts in (("/echo", ["A", "B"]), ("/count", ["2 0"]), ("/two", ["a", "b"]), ("/drop", [])):
                answer: Any = await asking(engine, request(Document("a"), Document("b"), endpoint=endpoint))
                assert type(answer) is Response
                assert answer.docs.texts == texts
                assert not answer.in_place
            asked = request(Document("a"), Document("b"), endpoint="/echo", stream=True)
            assert await pulled(await asking(engine, asked)) == [["A"], ["B"]]

        doing(run)

    def test_who_takes_a_list_gets_all(self, engine: IEngine) -> None:
        """Any other method is called when the last document has come."""

        async def run() -> None:
            for endpoint, texts in (("/list", ["a!", "b!"]), ("/def", ["2"]), ("/unknown", ["a", "b"])):
                caller = Caller()
                answer = asking(engine, caller.asks(endpoint, Document("a"), stream=False))
                caller.say("b")
                await deferLater(reactor, 0.01)  # type: ignore[arg-type]
                assert not answer.called
                caller.feed.end()
                assert (await answer).docs.texts == texts  # type: ignore[attr-defined]

        doing(run)

    def test_it_may_answer_early(self, engine: IEngine) -> None:
        """A method need not take all."""

        async def run() -> None:
            caller = Caller()
            caller.say("one", "two", "three")
            stream = await asking(engine, caller.asks("/two"))
            assert await pulled(stream) == [["one", "two"]]
            caller.feed.parts.cancel()  # as whoever made them does
            assert caller.cancelled == 1

        doing(run)

    def test_a_method_that_does_not_take_pauses_the_caller(self, engine: IEngine) -> None:
        """No more is handed on than a few parts, fewer of large ones; they go on when it takes."""

        async def run() -> None:
            caller = Caller()
            stream = await asking(engine, caller.asks("/deaf"))
            assert await pulled(stream, 1) == [["first"]]
            caller.say(*map(str, range(100)))
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            assert caller.taken <= AHEAD
            stream.parts.cancel()  # type: ignore[union-attr]

            caller, megabyte = Caller(), np.zeros(2**17)
            part = DocumentArray([Document(embedding=megabyte)])
            for _ in range(40):
                caller.feed.put(DocumentArray([Document(embedding=megabyte)]), cost_of(weight(part)))
            caller.feed.end()
            counted = await asking(engine, caller.asks("/count"))
            assert await pulled(counted) == [[f"40 {40 * 2**20}"]]

        doing(run)

    def test_wrong_parts(self, engine: IEngine) -> None:
        """What cannot be read of a part is raised where the method takes it, behind those before it."""

        async def run() -> None:
            wrong = ValidationError.at("/data/0/text", "is no text")
            for endpoint, last in (("/forgives", ["/data/0/text was wrong"]), ("/echo", None), ("/count", None)):
                caller = Caller()
                stream = await asking(engine, caller.asks(endpoint, Document("a")))
                caller.feed.end(ValidationError.at("/data/0/text", "is no text"))
                if last is not None:
                    assert await pulled(stream) == [["a"], last]
                    continue
                with pytest.raises(ValidationError) as raised:
                    await pulled(stream)
                assert raised.value.errors == wrong.errors

        doing(run)

    def test_what_it_raises(self, engine: IEngine) -> None:
        """Its mistakes are errors as everyone's."""

        async def run() -> None:
            caller = Caller()
            stream = await asking(engine, caller.asks("/fails", Document("oh")))
            with pytest.raises(ExecutorError, match="raised ValueError"):
                await pulled(stream)

        doing(run)

    @pytest.mark.parametrize("endpoint", ["/echo", "/count"])
    def test_cancelled(self, engine: IEngine, endpoint: str, tmp_path: pathlib.Path) -> None:
        """A method that waits for documents ends where it waits; the executor lives on."""
        notes = tmp_path / "notes"

        async def run() -> None:
            caller = Caller()
            stream: Any = await asking(engine, caller.asks(endpoint))
            caller.say(*map(str, range(AHEAD)))
            if endpoint == "/echo":
                assert len(await pulled(stream, AHEAD)) == AHEAD
            waiting = maybeDeferred(stream.parts.pull)
            if endpoint == "/count":
                await until(notes.exists)  # it runs
            stream.parts.cancel()
            with pytest.raises(CancelledError):
                await waiting
            await until(lambda: notes.exists() and notes.read_text().endswith(("ended\n", "True\n")))
            answer: Any = await asking(engine, request(Document("x"), Document("y"), endpoint="/two"))
            assert answer.docs.texts == ["x", "y"]

        doing(run)


class TestProcess:
    def test_it_crashes(self, tmp_path: pathlib.Path) -> None:
        """What a process had under way fails, also what still comes in; nothing is sent to where nobody is."""

        async def run(engine: Any) -> None:
            caller = Caller()
            stream: Any = await asking(engine, caller.asks("/echo", Document("a")))
            assert await pulled(stream, 1) == [["A"]]
            engine._calls.child.kill()
            with pytest.raises(Unavailable, match="crashed"):
                await pulled(stream)
            caller.say("b")
            caller.feed.end()

        engine = made(Ears, "process", uses_with={"file": str(tmp_path / "notes")})
        wait_for(engine.start)
        doing(lambda: run(engine))
        wait_for(engine.stop)


class TestShards:
    def test_all_answer(self, tmp_path: pathlib.Path) -> None:
        """Where all shards are asked each gets all documents, once the last has come."""

        async def run(engine: IEngine) -> None:
            caller = Caller()
            answer = asking(engine, caller.asks("/echo", Document("a")))
            caller.say("b")
            assert not answer.called
            caller.feed.end()
            docs = (await answer).docs  # type: ignore[union-attr]
            assert docs.texts == ["A", "B", "A", "B"]

        engine = made(Ears, "thread", uses_with={"file": str(tmp_path / "notes")}, shards=2, polling="all")
        wait_for(engine.start)
        doing(lambda: run(engine))
        wait_for(engine.stop)


class TestBounds:
    @pytest.mark.parametrize("limits", [Limits(max_body=1000), Limits(max_documents=10)])
    def test_what_is_collected_is_bounded(self, limits: Limits) -> None:
        """Who takes all at once gets no more than may be in one request."""

        async def run() -> None:
            engine = made(Ears, "inline", uses_with={"file": ""})
            await engine.start()
            caller = Caller()
            caller.feed.parts.bound = limits
            answer = asking(engine, caller.asks("/list"))
            for _ in range(11):
                caller.say("x" * 99)
            with pytest.raises(PayloadTooLarge, match="all at once"):
                await answer
            assert caller.cancelled == 1
            await engine.stop()

        doing(run)


class TestAsking:
    @pytest.mark.parametrize(
        "annotation",
        [AsyncIterator, AsyncIterator[Document], AsyncIterable[Document], "AsyncIterator[Document]",
         "typing.AsyncIterator[Document]", "'collections.abc.AsyncIterable[Document]'"],
    )  # fmt: skip
    def test_it_does(self, annotation: object) -> None:
        assert asked_for(annotation)

    @pytest.mark.parametrize("annotation", [DocumentArray, "DocumentArray", list[Document], Iterator[Document], "", 5])
    def test_it_does_not(self, annotation: object) -> None:
        assert not asked_for(annotation)

    def test_a_def(self) -> None:
        """A plain ``def`` cannot wait for documents."""

        class Plain(Executor):
            @requests
            def hear(self, docs: AsyncIterator[Document]) -> None: ...

        with pytest.raises(ConfigurationError, match="Plain.hear takes docs as an asynchronous iterator: make it an"):
            made(Plain, "inline")

    def test_batches(self) -> None:
        """Requests cannot share a call that takes one request as it comes."""

        class Batched(Executor):
            @dynamic_batching(preferred_batch_size=2)
            @requests
            async def hear(self, docs: AsyncIterator[Document]) -> None: ...

        with pytest.raises(ConfigurationError, match="as they come: it cannot be batched"):
            made(Batched, "inline")


class TestPump:
    @given(sizes=st.lists(st.integers(0, 20 * 2**16), max_size=60), data=st.data())
    def test_never_further_ahead(self, sizes: list[int], data: st.DataObject) -> None:
        """In order, all of them, and never more than one part beyond what may wait."""
        coming = iter([DocumentArray([Document(buffer=bytes(size))]) for size in sizes])
        handed: list[tuple[DocumentArray, int]] = []
        ends: list[object] = []
        pump = Pump(Parts(lambda: next(coming, None)), lambda part, cost: handed.append((part, cost)), ends.append)
        pump.more(0)
        taken: list[int] = []
        while not ends or handed:
            waiting = sum(cost for _, cost in handed)
            assert waiting - (handed[-1][1] if handed else 0) < AHEAD
            number = data.draw(st.integers(1, max(len(handed), 1)))
            several, handed[:] = handed[:number], handed[number:]
            taken += [len(part[0].buffer) for part, _ in several]
            pump.more(sum(cost for _, cost in several))
        assert (taken, ends) == (sizes, [None])
