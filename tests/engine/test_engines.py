"""One suite for all engines, on the running reactor."""

from __future__ import annotations

import asyncio
import contextvars
import os
import pathlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from tests.engine.kinds import KINDS, made
from tests.support import Log, asking, request, wait_for
from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, Reject, requests
from twisted_flow.engine.choose import ENGINES, make_engine
from twisted_flow.errors import DeadlineExceeded, ExecutorError, NotFound, Unavailable
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.interfaces import IDirect, IEngine
from twisted_flow.parts import Parts
from twisted_flow.policy.admission import Admission
from twisted_flow.policy.deadline import Deadline

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="fresh")


class Many(Executor):
    """A method of every kind."""

    def __init__(self) -> None:
        self.threads = {threading.get_ident()}
        self.gate = threading.Event()
        self.log: list[str] = []
        self.closed_in = 0

    @requests(on="/plain")
    def plain(self, docs: DocumentArray) -> None:
        self.threads.add(threading.get_ident())
        for document in docs:
            document.text = (document.text or "").upper()

    @requests(on="/coroutine")
    async def coroutine(self, docs: DocumentArray) -> DocumentArray:
        await asyncio.sleep(0)
        return DocumentArray(Document((document.text or "").upper()) for document in docs)

    @requests(on="/at_once")
    async def at_once(self, docs: DocumentArray) -> DocumentArray:
        return DocumentArray(Document((document.text or "").upper()) for document in docs)

    @requests(on="/generator")
    def generator(self, docs: DocumentArray) -> Iterator[Document]:
        self.threads.add(threading.get_ident())
        for document in docs:
            yield Document((document.text or "").upper())

    @requests(on="/async_generator")
    async def async_generator(self, docs: DocumentArray) -> AsyncIterator[Document]:
        for document in docs:
            await asyncio.sleep(0)
            yield Document((document.text or "").upper())

    @requests(on="/deferred")
    def deferred(self, docs: DocumentArray) -> Deferred[DocumentArray]:
        upper = DocumentArray(Document((document.text or "").upper()) for document in docs)
        return deferLater(reactor, 0, lambda: upper)  # type: ignore[arg-type]

    @requests(on="/context")
    async def context(self, context: Any, docs: DocumentArray) -> None:
        docs[0].text = VARIABLE.get()
        VARIABLE.set("stale")
        assert context.request_id == "r1"

    @requests(on="/fail")
    def fail(self) -> None:
        raise ValueError("as asked")

    @requests(on="/fail_later")
    async def fail_later(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("as asked")

    @requests(on="/cancel_myself")
    async def cancel_myself(self) -> None:
        raise asyncio.CancelledError

    @requests(on="/exit")
    def exit(self) -> None:
        raise SystemExit(3)

    @requests(on="/exit_later")
    async def exit_later(self) -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    @requests(on="/exit_generator")
    async def exit_generator(self) -> AsyncIterator[Document]:
        yield Document()
        raise KeyboardInterrupt

    @requests(on="/exit_in_what_it_returns")
    async def exit_in_what_it_returns(self) -> Iterator[Document]:
        await asyncio.sleep(0)

        def documents() -> Iterator[Document]:
            yield Document()
            raise SystemExit(3)

        return documents()

    @requests(on="/log")
    async def told(self) -> DocumentArray:
        return DocumentArray(map(Document, self.log))

    @requests(on="/reject")
    def reject(self) -> None:
        raise Reject("NotFound", "not here")

    @requests(on="/nonsense")
    def nonsense(self) -> Any:
        return 5

    @requests(on="/forever")
    async def forever(self) -> None:
        self.log.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("cancelled")

    def close(self) -> None:
        self.closed_in = threading.get_ident()


class Broken(Executor):
    """Cannot be made."""

    def __init__(self) -> None:
        raise ValueError("no model")

    @requests
    def f(self) -> None:
        pass


class Closes(Executor):
    """Notes in a file that it was closed, by a coroutine."""

    def __init__(self, file: str) -> None:
        self.file = pathlib.Path(file)

    @requests
    def f(self) -> None:
        pass

    async def close(self) -> None:
        await asyncio.sleep(0)
        with self.file.open("a") as file:
            file.write("closed ")


def many(kind: str) -> IEngine:
    renamed = {"/deferred": "coroutine"} if "process" in kind else {}  # there is no reactor
    return made(Many, kind, uses_requests=renamed)


@pytest.fixture(params=KINDS)
def kind_of_engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(kind_of_engine: str) -> Iterator[IEngine]:
    engine = many(kind_of_engine)
    verifyObject(IEngine, engine)
    assert engine.health == "new"
    wait_for(engine.start)
    assert engine.health == "ready"
    yield engine
    wait_for(engine.stop)
    assert engine.health == "stopped"


def ask(engine: IEngine, endpoint: str, *texts: str) -> list[str | None]:
    asked = request(*map(Document, texts), endpoint=endpoint)
    return wait_for(lambda: asking(engine, asked)).docs.texts  # type: ignore[no-any-return]


class TestContract:
    @pytest.mark.parametrize("kind", ["plain", "coroutine", "at_once", "generator", "async_generator", "deferred"])
    def test_answers(self, engine: IEngine, kind: str) -> None:
        """A method of each kind answers with its documents."""
        assert ask(engine, f"/{kind}", "a", "b") == ["A", "B"]
        assert ask(engine, f"/{kind}") == []

    def test_passes_through(self, engine: IEngine) -> None:
        """An endpoint that it has not leaves the documents as they are."""
        assert ask(engine, "/nothing", "a") == ["a"]

    def test_raises(self, engine: IEngine) -> None:
        """What a method raises is an `ExecutorError` with the cause behind it; the engine lives on."""
        for endpoint in ("/fail", "/fail_later"):
            with pytest.raises(ExecutorError, match="executor 'many' raised ValueError") as wrong:
                ask(engine, endpoint)
            assert str(wrong.value.__cause__) == "as asked"
            assert wrong.value.executor == "many"
        with pytest.raises(ExecutorError, match="raised CancelledError"):
            ask(engine, "/cancel_myself")
        assert ask(engine, "/plain", "a") == ["A"]

    def test_rejects(self, engine: IEngine) -> None:
        """`Reject` is answered by the error that it names."""
        with pytest.raises(NotFound, match="not here"):
            ask(engine, "/reject")

    def test_system_exit(self, engine: IEngine) -> None:
        """A method that exits is the executor's error; the engine lives on."""
        for endpoint in ("/exit", "/exit_later", "/exit_generator", "/exit_in_what_it_returns"):
            with pytest.raises(ExecutorError, match="raised (SystemExit|KeyboardInterrupt)"):
                ask(engine, endpoint)
        assert ask(engine, "/plain", "a") == ["A"]

    def test_nonsense(self, engine: IEngine) -> None:
        """What is neither None nor documents is the executor's error."""
        with pytest.raises(ExecutorError, match="returned int") as wrong:
            ask(engine, "/nonsense")
        assert wrong.value.detail == "executor 'many' returned int, where None or documents are asked for"

    def test_fresh_context(self, engine: IEngine) -> None:
        """Nothing of one request shows in another."""
        assert [ask(engine, "/context", "") for _ in range(3)] == [["fresh"]] * 3

    def test_deadline(self, engine: Any) -> None:
        """A call whose time runs out fails so; the engine lives on, and has room again."""
        bounded: Any = Deadline(Admission(engine, 10), None, reactor)  # type: ignore[arg-type]
        with pytest.raises(DeadlineExceeded):
            wait_for(lambda: asking(bounded, request(endpoint="/forever", timeout=0.05)))
        assert ask(engine, "/plain", "a") == ["A"]

    def test_stop_with_a_call_under_way(self, kind_of_engine: str) -> None:
        """A stop ends, whatever runs; what had not been answered is answered then, or cancelled by who asked."""
        other: Any = many(kind_of_engine)
        wait_for(other.start)

        def stop() -> Deferred[Any]:
            answer = asking(other, request(endpoint="/forever"))
            stopped = deferLater(reactor, 0.02, other.stop)  # type: ignore[arg-type]
            stopped.addCallback(lambda _: answer.cancel())
            return DeferredList([stopped, answer], consumeErrors=True)

        (stopped, _), (answered, _) = wait_for(stop)
        assert stopped
        assert not answered
        assert other.health == "stopped"

    def test_health(self, engine: Any) -> None:
        """A check leaves a healthy one ready; a call that has run too long makes it unhealthy, until the next check."""
        wait_for(lambda: engine.check(5, None))
        assert engine.health == "ready"

        def stuck() -> Deferred[Any]:
            answer = asking(engine, request(endpoint="/forever"))
            again = asking(engine, request(endpoint="/forever"))
            looked = deferLater(reactor, 0.05, lambda: engine.check(5, 0.01))  # type: ignore[arg-type]
            seen = looked.addCallback(lambda _: engine.health)
            seen.addCallback(lambda health: (answer.cancel(), again.cancel(), health)[2])
            return DeferredList([seen, answer, again], consumeErrors=True)

        assert wait_for(stuck)[0] == (True, "unhealthy")
        wait_for(lambda: deferLater(reactor, 0.05, engine.check, 5, None))  # type: ignore[arg-type]
        assert engine.health == "ready"

    def test_cancel(self, engine: IEngine) -> None:
        """Cancelling fails the caller at once, and cancels the task."""

        def cancel() -> Deferred[Any]:
            response = asking(engine, request(endpoint="/forever"))
            later = deferLater(reactor, 0.05, response.cancel)  # type: ignore[arg-type]
            return DeferredList([response, later], consumeErrors=True).addCallback(
                lambda results: deferLater(reactor, 0.05, lambda: results)  # type: ignore[arg-type]
            )

        (ended, failure), _ = wait_for(cancel)
        assert not ended
        assert failure.check(CancelledError)
        assert "cancelled" in [text for _ in range(2) for text in ask(engine, "/log")]

    def test_not_started(self, kind_of_engine: str) -> None:
        """Before its start, and after its stop, it is `Unavailable`, on the direct way too; it can start again."""
        other = many(kind_of_engine)
        direct: Any = IDirect(other, None)
        for health in ("new", "stopped"):
            with pytest.raises(Unavailable, match=f"is {health}"):
                ask(other, "/plain")
            if direct is not None:
                with pytest.raises(Unavailable, match=f"is {health}"):
                    direct.direct("/at_once")
            wait_for(other.start)
            assert ask(other, "/at_once", "a") == ["A"]
            assert direct is None or direct.direct("/at_once") is not None
            wait_for(other.stop)

    def test_generations(self, kind_of_engine: str) -> None:
        """Who watches is told of each change of its health, until it watches no more."""
        other: Any = many(kind_of_engine)
        seen: list[str] = []
        end = other.watch(lambda: seen.append(other.health))
        wait_for(other.start)
        wait_for(other.stop)
        assert list(dict.fromkeys(seen)) == ["starting", "ready", "stopping", "stopped"]
        end()
        before = len(seen)
        wait_for(other.start)
        assert len(seen) == before
        wait_for(other.stop)

    def test_documents_that_still_come(self, engine: IEngine) -> None:
        """A method that takes a list is called when all its documents have come."""
        first, later = DocumentArray([Document("b")]), Deferred()
        parts = iter([first, later, None])
        asked = request(Document("a"), endpoint="/plain", parts=Parts(lambda: next(parts)))
        answered = wait_for(lambda: DeferredList([asking(engine, asked), come(later)]))
        (_, response), _ = answered
        assert [each.text for each in response.docs] == ["A", "B", "C"]

    def test_constructor_that_raises(self, kind_of_engine: str) -> None:
        """Its start fails as the constructor did."""
        broken = made(Broken, kind_of_engine)
        with pytest.raises(ValueError, match="no model"):
            wait_for(broken.start)
        wait_for(broken.stop)

    def test_close(self, kind_of_engine: str, tmp_path: pathlib.Path) -> None:
        """The executor is closed once, by a plain method or a coroutine."""
        file = tmp_path / "closed"
        if kind_of_engine in ("two threads", "two shards"):
            return  # its methods are all ``async def``: see `test_copies`
        other = made(Closes, kind_of_engine, uses_with={"file": str(file)})
        wait_for(other.start)
        wait_for(other.stop)
        wait_for(other.stop)
        assert file.read_text().split() == ["closed"] * (
            2 if kind_of_engine in ("two processes", "batched processes") else 1
        )


def come(later: Deferred[Any]) -> Deferred[Any]:
    return deferLater(reactor, 0, later.callback, DocumentArray([Document("c")]))  # type: ignore[arg-type]


class Hooked(Executor):
    """Has all hooks, of one kind or the other; notes in a folder what was called, and where."""

    def __init__(self, kind: str, folder: str) -> None:
        self.kind, self.folder = kind, pathlib.Path(folder)
        self.note("init")

    def note(self, what: str) -> Any:
        with (self.folder / "log").open("a") as file:
            file.write(f"{what} {os.getpid()}:{threading.get_ident()}\n")
        if (self.folder / f"{what} fails").exists():
            raise ValueError("no model")

    async def note_later(self, what: str) -> None:
        await asyncio.sleep(0)
        self.note(what)

    @requests
    def answer(self) -> None:
        pass

    def warm_up(self) -> Any:
        return self.note("warm") if self.kind == "plain" else self.note_later("warm")

    def check_health(self) -> Any:
        return self.note("check") if self.kind == "plain" else self.note_later("check")

    def close(self) -> Any:
        return self.note("close") if self.kind == "plain" else self.note_later("close")


def noted(folder: pathlib.Path) -> list[tuple[str, str]]:
    """What was called, and where: process and thread."""
    lines = (folder / "log").read_text().splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines]


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("word", sorted(ENGINES))
class TestHooks:
    def made(self, word: str, kind: str, folder: pathlib.Path) -> Any:
        return make_engine(ExecutorSpec(uses=Hooked, name="h", uses_with={"kind": kind, "folder": str(folder)}), word)

    def test_in_their_place(self, word: str, kind: str, tmp_path: pathlib.Path) -> None:
        """Warm-up comes before ready; plain hooks run where the constructor did, asynchronous ones on the loop."""
        engine = self.made(word, kind, tmp_path)
        wait_for(lambda: engine.check(5, None))
        assert engine.health == "new"
        wait_for(engine.start)
        wait_for(lambda: engine.check(5, None))
        wait_for(engine.stop)
        log = noted(tmp_path)
        assert [what for what, _ in log] == ["init", "warm", "check", "close"]
        (place,) = {where for what, where in log if what != "init"}
        if kind == "plain":
            assert place == log[0][1]
        elif word == "process":
            assert place != log[0][1]
            assert place.split(":")[0] == log[0][1].split(":")[0]
        else:
            assert place == f"{os.getpid()}:{wait_for(threading.get_ident)}"

    def test_unhealthy(self, word: str, kind: str, tmp_path: pathlib.Path) -> None:
        """A check that raises makes it unhealthy, with one line in the log, until one does not; it goes on answering."""
        engine = self.made(word, kind, tmp_path)
        wait_for(engine.start)
        (tmp_path / "check fails").touch()
        with Log() as lines:
            wait_for(lambda: engine.check(5, None)), wait_for(lambda: engine.check(5, None))
        assert (engine.health, lines) == ("unhealthy", ["error executor h is unhealthy: ValueError: no model"])
        assert ask(engine, "/", "a") == ["a"]
        (tmp_path / "check fails").unlink()
        with Log() as lines:
            wait_for(lambda: engine.check(5, None))
        assert (engine.health, lines) == ("ready", ["info executor h is healthy again"])
        wait_for(engine.stop)
        wait_for(lambda: engine.check(5, None))
        assert engine.health == "stopped"

    def test_hung(self, word: str, kind: str, tmp_path: pathlib.Path) -> None:
        """While a question is not answered, no other is asked."""
        engine = self.made(word, kind, tmp_path)
        wait_for(engine.start)

        def twice() -> Deferred[Any]:
            return DeferredList([engine.check(5, None), engine.check(5, None)])

        wait_for(twice)
        asked = [what for what, _ in noted(tmp_path) if what == "check"]
        assert len(asked) == (2 if kind == "plain" and word == "inline" else 1)
        wait_for(engine.stop)

    def test_warm_up_that_raises(self, word: str, kind: str, tmp_path: pathlib.Path) -> None:
        """An executor that cannot warm up has not started; it is closed all the same."""
        (tmp_path / "warm fails").touch()
        engine = self.made(word, kind, tmp_path)
        with pytest.raises(ValueError, match="no model"):
            wait_for(engine.start)
        assert engine.health == "starting"
        wait_for(engine.stop)
        assert (engine.health, [what for what, _ in noted(tmp_path)]) == ("stopped", ["init", "warm", "close"])


class TestThread:
    @pytest.fixture
    def engine(self) -> Iterator[Any]:
        engine = make_engine(ExecutorSpec(uses=Many, name="many"), None)
        wait_for(engine.start)
        yield engine
        wait_for(engine.stop)

    def test_default(self, engine: Any) -> None:
        """An executor with a plain ``def`` gets a thread; one without runs inline."""

        class Quick(Executor):
            @requests
            async def f(self) -> None:
                pass

        assert type(engine).__name__ == "ThreadEngine"
        assert type(make_engine(ExecutorSpec(uses=Quick), None)).__name__ == "InlineEngine"
        with pytest.raises(ConfigurationError, match="did you mean 'thread'"):
            make_engine(ExecutorSpec(uses=Quick), "thred")

    def test_one_thread_for_all(self, engine: Any) -> None:
        """Constructor, plain methods, generators and close run in one thread, which is not the reactor's."""
        executor = engine.executor.executor
        ask(engine, "/plain", "a"), ask(engine, "/generator", "a")
        wait_for(engine.stop)
        assert executor.threads == {executor.closed_in}
        assert executor.threads != {wait_for(threading.get_ident)}

    def test_answers_do_not_wait(self) -> None:
        """What is answered does not wait for the method that runs next, though both came together."""
        gate = threading.Event()

        class Waits(Executor):
            @requests(on="/quick")
            def quick(self) -> None:
                pass

            @requests(on="/slow")
            def slow(self) -> None:
                assert gate.wait(20)

        engine: Any = make_engine(ExecutorSpec(uses=Waits), "thread")
        wait_for(engine.start)

        def both() -> Deferred[Any]:
            quick, slow = (asking(engine, request(endpoint=endpoint)) for endpoint in ("/quick", "/slow"))
            quick.addCallback(lambda _: gate.set())
            return DeferredList([quick, slow])

        assert [well for well, _ in wait_for(both)] == [True, True]
        wait_for(engine.stop)

    def test_does_not_block_the_loop(self) -> None:
        """While a plain method waits, the loop answers other things: the method ends only when they are done."""
        gate = threading.Event()

        class Waits(Executor):
            @requests(on="/wait")
            def wait(self) -> None:
                assert gate.wait(20)

            @requests(on="/open")
            async def open(self) -> None:
                gate.set()

        engine = make_engine(ExecutorSpec(uses=Waits), None)
        wait_for(engine.start)
        wait_for(
            lambda: DeferredList(
                [asking(engine, request(endpoint="/wait")), asking(engine, request(endpoint="/open"))],
                fireOnOneErrback=True,
            )
        )
        wait_for(engine.stop)

    def test_cancelled_calls(self) -> None:
        """What has not begun is dropped; what runs keeps its place until it ends, and is told."""
        gate, began = threading.Event(), threading.Event()
        ran: list[str] = []

        class Waits(Executor):
            @requests
            def wait(self, docs: DocumentArray, context: Any) -> None:
                began.set()
                assert gate.wait(20)
                ran.append(f"{docs[0].text} {context.cancelled}")

        engine = make_engine(ExecutorSpec(uses=Waits), None)
        wait_for(engine.start)
        first, second, third = (wait_for(starting(engine, text)) for text in "abc")
        assert began.wait(20)
        assert engine.window == 16
        wait_for(lambda: (first[0].cancel(), second[0].cancel()) and None)
        assert wait_for(lambda: engine.window) == 15
        assert [call.deferred for call in engine._waiting] == [third[0]]  # of what was dropped nothing is kept
        gate.set()
        wait_for(lambda: third[0])
        assert ran == ["a True", "c False"]
        assert wait_for(lambda: engine.window) == 16
        for cancelled in (first, second):
            with pytest.raises(CancelledError):
                wait_for(lambda cancelled=cancelled: cancelled[0])
        wait_for(engine.stop)


def starting(engine: IEngine, text: str) -> Callable[[], list[Any]]:
    """Dispatch, without waiting for the answer."""
    return lambda: [asking(engine, request(Document(text)))]
