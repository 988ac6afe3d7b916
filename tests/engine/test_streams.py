"""Generators as streams, the same on every engine: one suite, on the running reactor."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater

from tests.engine.kinds import KINDS, made
from tests.engine.streams import doing, pulled, until
from tests.support import Log, asking, request, wait_for
from twisted_flow import Document, DocumentArray, Executor, requests
from twisted_flow.engine.inline import InlineEngine
from twisted_flow.engine.process import ProcessEngine
from twisted_flow.errors import ConfigurationError, ExecutorError, FlowError, PayloadTooLarge, Unavailable
from twisted_flow.feed import Feed
from twisted_flow.interfaces import IEngine
from twisted_flow.message import Response, ResponseStream
from twisted_flow.parts import AHEAD, cost_of


class Words(Executor):
    """Streams of every kind. What happens to them stands in a file, which a process of its own writes too."""

    def __init__(self, file: str) -> None:
        self.file = pathlib.Path(file)

    def note(self, line: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{line}\n")

    @requests(on="/def")
    def plain(self, docs: DocumentArray, parameters: dict[str, Any], context: Any) -> Iterator[Any]:
        self.note("began")
        try:
            for number in range(parameters.get("number", 3)):
                self.note(f"made {number}")
                yield self.part(number, parameters)
        except GeneratorExit:
            self.note(f"exit {context.cancelled}")
            raise
        finally:
            self.note("ended")
            if parameters.get("spoils"):
                raise KeyError("of its end")

    @requests(on="/async")
    async def asynchronous(self, docs: DocumentArray, parameters: dict[str, Any], context: Any) -> AsyncIterator[Any]:
        self.note("began")
        try:
            for number in range(parameters.get("number", 3)):
                self.note(f"made {number}")
                if parameters.get("waits"):
                    await asyncio.sleep(0)
                yield self.part(number, parameters)
        except GeneratorExit:
            self.note(f"exit {context.cancelled}")
            raise
        finally:
            self.note("ended")
            if parameters.get("spoils"):
                raise KeyError("of its end")

    def part(self, number: int, parameters: dict[str, Any]) -> Any:
        if number == parameters.get("fails"):
            raise ValueError("as asked")
        if number == parameters.get("odd"):
            return 5
        if number == parameters.get("several"):
            return [Document("a"), Document("b")]
        if size := parameters.get("size"):
            return Document(embedding=np.full(int(size) // 8, float(number)))
        return Document(f"{number}")

    @requests(on="/slow")
    async def slow(self) -> AsyncIterator[Document]:
        yield Document("first")
        try:
            await asyncio.Event().wait()
            yield Document("never")
        finally:
            self.note("ended")

    @requests(on="/stubborn")
    async def stubborn(self) -> AsyncIterator[Document]:
        yield Document("first")
        while True:
            try:
                self.note("waits")
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
            try:
                yield Document("again")
            except GeneratorExit:
                self.note("ended")
                raise

    @requests(on="/whole")
    def whole(self, docs: DocumentArray) -> None:
        docs[0].text = "whole"


@pytest.fixture(params=[kind for kind in KINDS if "batched" not in kind])
def engine(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[IEngine]:
    engine = made(Words, request.param, uses_with={"file": str(tmp_path / "notes")})
    wait_for(engine.start)
    yield engine
    wait_for(engine.stop)


@pytest.fixture
def notes(tmp_path: pathlib.Path) -> Any:
    def read() -> list[str]:
        file = tmp_path / "notes"
        return file.read_text().splitlines() if file.exists() else []

    return read


BOTH = ["/def", "/async"]


def asked(endpoint: str, **parameters: Any) -> Any:
    return request(Document("x"), endpoint=endpoint, parameters=parameters, stream=True)


def ahead(engine: IEngine, endpoint: str) -> int:
    """How many parts it makes before they are pulled: on the loop itself a `def` makes none."""
    return 1 if type(engine) is InlineEngine and endpoint == "/def" else AHEAD


@pytest.mark.parametrize("endpoint", BOTH)
class TestStreams:
    def test_to_its_end(self, engine: IEngine, endpoint: str) -> None:
        """What is yielded is a part each, in order, however many there are; then it is over."""

        async def run() -> None:
            for number in (3, 10 * AHEAD):
                stream: Any = await asking(engine, asked(endpoint, number=number))
                assert type(stream) is ResponseStream
                assert await pulled(stream) == [[str(n)] for n in range(number)]
                assert stream.parts.over

        doing(run)

    def test_none(self, engine: IEngine, endpoint: str) -> None:
        """Without a part there is an answer without documents."""

        async def run() -> None:
            answer: Any = await asking(engine, asked(endpoint, number=0))
            assert (await pulled(answer) if type(answer) is ResponseStream else answer.docs) == []

        doing(run)

    def test_several(self, engine: IEngine, endpoint: str) -> None:
        """A list is a part of several documents."""

        async def run() -> None:
            stream = await asking(engine, asked(endpoint, several=1))
            assert await pulled(stream) == [["0"], ["a", "b"], ["2"]]

        doing(run)

    @pytest.mark.parametrize(("said", "message"), [("fails", "raised ValueError"), ("odd", "returned int among")])
    def test_fails(self, engine: IEngine, endpoint: str, said: str, message: str) -> None:
        """What it raises, or yields that is no document, is an error behind the parts that came, or at once."""

        async def run() -> None:
            stream: Any = await asking(engine, asked(endpoint, **{said: 2}))
            assert await pulled(stream, 2) == [["0"], ["1"]]
            with pytest.raises(ExecutorError, match=message):
                await maybeDeferred(stream.parts.pull)
            assert stream.parts.over
            with pytest.raises(ExecutorError, match=message):
                await pulled(await asking(engine, asked(endpoint, **{said: 0})))

        doing(run)

    def test_a_slow_consumer_pauses_it(self, engine: IEngine, endpoint: str, notes: Any) -> None:
        """It makes no more than a few parts that nobody has pulled, and goes on when they have been."""

        async def run() -> None:
            stream = await asking(engine, asked(endpoint, number=1000))
            await pulled(stream, 1)
            await until(lambda: notes().count(f"made {ahead(engine, endpoint) - 1}"))
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            made = sum(line.startswith("made") for line in notes())
            assert ahead(engine, endpoint) <= made <= AHEAD + AHEAD // 2
            await pulled(stream, 100)
            await until(lambda: notes().count("made 100"))
            assert len(await pulled(stream)) == 899

        doing(run)

    def test_large_parts(self, engine: IEngine, endpoint: str, notes: Any) -> None:
        """Of large parts fewer are made ahead; they arrive as they are."""

        async def run() -> None:
            stream: Any = await asking(engine, asked(endpoint, number=40, size=2**20))
            part: Any = await maybeDeferred(stream.parts.pull)
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            assert sum(line.startswith("made") for line in notes()) <= 4
            seen = 0
            while part is not None:
                assert part[0].embedding[5] == seen
                seen += 1
                part = await maybeDeferred(stream.parts.pull)
            assert seen == 40

        doing(run)

    def test_cancelled_between_parts(self, engine: IEngine, endpoint: str, notes: Any) -> None:
        """It gets GeneratorExit where it stands, and its `finally` runs; the executor lives on."""

        async def run() -> None:
            stream: Any = await asking(engine, asked(endpoint, number=1000))
            await pulled(stream, 2)
            await until(lambda: notes().count(f"made {ahead(engine, endpoint) - 1}"))
            stream.parts.cancel()
            assert await pulled(stream) == []
            await until(lambda: "ended" in notes())
            assert "exit True" in notes()
            again = await asking(engine, asked(endpoint, number=1))
            assert await pulled(again) == [["0"]]

        doing(run)

    def test_what_its_end_raises(self, engine: IEngine, endpoint: str) -> None:
        """What a `finally` raises, of one that is not wanted any more, is in the log, with its traceback."""

        async def run(lines: list[str]) -> None:
            stream: Any = await asking(engine, asked(endpoint, number=1000, spoils=1))
            await pulled(stream, 2)
            stream.parts.cancel()
            await until(lambda: any("a generator that was closed raised" in line for line in lines))
            assert any("KeyError" in line and "of its end" in line for line in lines)

        with Log() as lines:
            doing(lambda: run(lines))

    def test_cancelled_before_it_began(self, engine: IEngine, endpoint: str, notes: Any) -> None:
        """Nothing is left of one that was cancelled as soon as it was asked."""

        async def run() -> None:
            answer = asking(engine, asked(endpoint, number=1000))
            if answer.called:
                answer.result.parts.cancel()
            answer.cancel()
            answer.addErrback(lambda failure: failure.trap(CancelledError))
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            again = await asking(engine, asked(endpoint, number=1))
            assert await pulled(again) == [["0"]]
            assert notes().count("ended") == notes().count("began")

        doing(run)

    def test_many_at_once(self, engine: IEngine, endpoint: str) -> None:
        """More streams than its window run side by side, and calls between their steps."""

        async def run() -> None:
            streams = [await asking(engine, asked(endpoint, number=100)) for _ in range(40)]
            firsts = [await pulled(each, 1) for each in streams]
            assert firsts == [[["0"]]] * 40
            whole: Any = await asking(engine, request(Document("x"), endpoint="/whole", stream=True))
            assert type(whole) is Response
            assert whole.docs.texts == ["whole"]
            assert [len(await pulled(each)) for each in streams] == [99] * 40

        doing(run)

    def test_who_does_not_ask(self, engine: IEngine, endpoint: str) -> None:
        """Without `stream` it is one answer."""
        answer = wait_for(lambda: asking(engine, request(Document("x"), endpoint=endpoint)))
        assert type(answer) is Response
        assert answer.docs.texts == ["0", "1", "2"]


@pytest.mark.parametrize("endpoint", BOTH)
def test_too_much_to_collect(engine: IEngine, endpoint: str, notes: Any) -> None:
    """One that makes more than a body may have is closed; who asks for parts gets them."""
    with pytest.raises(PayloadTooLarge, match="made more than 67108864 bytes"):
        wait_for(lambda: asking(engine, replace(asked(endpoint, number=10**6, size=2**23), stream=False)))
    assert notes()[-1] == "ended"
    assert sum(line.startswith("made") for line in notes()) == 9


def test_the_first_part_does_not_wait(engine: IEngine, notes: Any) -> None:
    """It is there while the next is being made; cancelling reaches a method that waits."""

    async def run() -> None:
        stream: Any = await asking(engine, asked("/slow"))
        assert await pulled(stream, 1) == [["first"]]
        waiting = maybeDeferred(stream.parts.pull)
        await deferLater(reactor, 0.02)  # type: ignore[arg-type]
        assert not waiting.called
        stream.parts.cancel()
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        await until(lambda: "ended" in notes())

    doing(run)


def test_one_that_goes_on_though_cancelled(engine: IEngine, notes: Any) -> None:
    """It ends at its next step."""

    async def run() -> None:
        stream: Any = await asking(engine, asked("/stubborn"))
        assert await pulled(stream, 1) == [["first"]]
        await until(lambda: "waits" in notes())
        stream.parts.cancel()
        await until(lambda: "ended" in notes())

    doing(run)


class Alone(Words):
    """Has a generator beside which nothing runs."""

    @requests(on="/alone", exclusive=True)
    def alone(self, parameters: dict[str, Any]) -> Iterator[Document]:
        self.note("began")
        for number in range(parameters.get("number", 3)):
            if number == parameters.get("fails"):
                raise ValueError("as asked")
            yield Document(f"{number}")
        self.note("ended")


@pytest.mark.parametrize("kind", ["thread", "process"])
@pytest.mark.parametrize("how", ["to its end", "cancelled", "fails"])
def test_exclusive(kind: str, how: str, notes: Any, tmp_path: pathlib.Path) -> None:
    """Nothing else of its executor runs before it has ended, nor goes on that began before, however slowly it is taken;
    its executor is well meanwhile.
    """

    async def run() -> None:
        before: Any = await asking(engine, asked("/def", number=1000))
        await pulled(before, 1)
        parameters = {"number": 10 * AHEAD, **({"fails": 5 * AHEAD} if how == "fails" else {})}
        stream: Any = await asking(engine, asked("/alone", **parameters))
        assert await pulled(stream, 1) == [["0"]]
        made_before = len(notes())
        others = [asking(engine, asked("/whole")), asking(engine, asked("/alone", number=1))]
        others[0].cancel()
        others[0].addErrback(lambda _: None)
        others.append(asking(engine, asked("/whole")))
        going_on = Deferred.fromCoroutine(pulled(before))
        await deferLater(reactor, 0.2)  # type: ignore[arg-type]
        assert not others[2].called
        assert not going_on.called
        assert len(notes()) == made_before
        await engine.check(5, 0.1)
        assert engine.health == "ready"
        if how == "to its end":
            assert len(await pulled(stream)) == 10 * AHEAD - 1
        elif how == "cancelled":
            stream.parts.cancel()
        else:
            with pytest.raises(ExecutorError):
                await pulled(stream)
        assert await pulled(await others[1]) == [["0"]]
        assert (await others[2]).docs.texts == ["whole"]
        assert len(await going_on) == 999

    engine = made(Alone, kind, uses_with={"file": str(tmp_path / "notes")})
    wait_for(engine.start)
    doing(run)
    wait_for(engine.stop)


def test_exclusive_takes_a_thread() -> None:
    """On the loop itself there is nothing to keep."""
    with pytest.raises(ConfigurationError, match="/alone is exclusive, which takes a thread or process of its own"):
        made(Alone, "inline", uses_with={"file": ""})


@pytest.mark.parametrize("stream", [True, False])
def test_cancelled_at_once(engine: IEngine, stream: bool) -> None:
    """A call that is cancelled before its method has begun takes no room in the window afterwards."""

    async def run() -> None:
        window = engine.window
        for _ in range(20):
            answer = asking(engine, replace(asked("/async", number=100), stream=stream))
            if answer.called:
                answer.result.parts.cancel()
            answer.addErrback(lambda failure: failure.trap(CancelledError))
            answer.cancel()
        await until(lambda: engine.window == window)

    doing(run)


def test_a_crash(tmp_path: pathlib.Path) -> None:
    """A stream whose process dies ends with Unavailable, behind the parts that had come."""
    engine: Any = made(Words, "process", uses_with={"file": str(tmp_path / "notes")})
    wait_for(engine.start)
    assert isinstance(engine, ProcessEngine)

    async def run() -> None:
        stream: Any = await asking(engine, asked("/async", number=10**6))
        await pulled(stream, 3)
        engine._calls.child.kill()
        with pytest.raises(Unavailable, match="crashed while it had the request"):
            await pulled(stream)

    doing(run)
    wait_for(engine.stop)


class TestFeed:
    def test_costs(self) -> None:
        """Large parts cost more."""
        assert [cost_of(size) for size in (0, 65535, 65536, 2**20)] == [1, 4, 5, 65]

    def test_its_maker_is_told(self) -> None:
        """What has been pulled is told to who makes the parts, in time and in full."""
        told: list[int] = []
        feed = Feed(told.append, lambda: None)
        for _ in range(AHEAD):
            feed.put(DocumentArray())
        for _ in range(AHEAD):
            feed.parts.pull()
        assert sum(told) == AHEAD
        waiting: Any = feed.parts.pull()
        feed.put(DocumentArray(), 5)
        assert type(waiting.result) is DocumentArray
        feed.parts.pull()
        assert sum(told) == AHEAD + 5

    def test_the_end(self) -> None:
        """It ends behind what was made, well or with an error; what comes later is ignored."""
        feed = Feed(lambda taken: None, lambda: None)
        feed.put(DocumentArray())
        feed.end()
        feed.end(FlowError("late"))
        feed.put(DocumentArray([Document()]))
        assert feed.parts.pull() == []
        failed = Feed(lambda taken: None, lambda: None)
        failed.put(DocumentArray())
        failed.end(FlowError("x"))
        assert failed.parts.pull() == []
        with pytest.raises(FlowError, match="x"):
            failed.parts.pull()

    def test_cancelled_once(self) -> None:
        """Its maker is told once that nothing is wanted any more, and not where it has ended."""
        told: list[str] = []
        feed = Feed(lambda taken: None, lambda: told.append("cancelled"))
        feed.put(DocumentArray())
        feed.parts.cancel()
        feed.parts.cancel()
        assert told == ["cancelled"]
        over = Feed(lambda taken: None, lambda: told.append("late"))
        over.end()
        over.parts.cancel()
        assert told == ["cancelled"]
