"""Executors in processes of their own: what they print, how they end, and what becomes of what they had."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from tests.support import TIMEOUT, Log, asking, request, wait_for
from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, requests
from twisted_flow.engine.choose import make_engine
from twisted_flow.errors import ExecutorError, FlowError, Unavailable
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.policy.admission import Admission


class Child(Executor):
    """Does what a process can do."""

    def __init__(self, crash_when: str = "", **more: Any) -> None:
        super().__init__(**more)
        if crash_when and pathlib.Path(crash_when).exists():
            print("cannot open the model")  # noqa: T201
            os._exit(7)

    @requests(on="/pid")
    def pid(self, docs: DocumentArray) -> None:
        docs[0].text = str(os.getpid())

    @requests(on="/environment")
    def environment(self, docs: DocumentArray) -> None:
        docs[0].text = os.environ.get(docs[0].text, "")

    @requests(on="/modules")
    def modules(self, docs: DocumentArray) -> None:
        docs[0].text = " ".join(sorted(sys.modules))

    @requests(on="/die")
    def die(self, docs: DocumentArray) -> None:
        print("about to die", file=sys.stderr)  # noqa: T201
        if docs[0].text == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGKILL)

    @requests(on="/talk")
    def talk(self) -> None:
        logging.getLogger("mine").warning("from logging")
        logging.getLogger("mine").debug("not this")
        warnings.warn("from warnings", stacklevel=1)
        print("from print")  # noqa: T201

    @requests(on="/sleep")
    def sleep(self, docs: DocumentArray, context: Any) -> None:
        until = time.monotonic() + float(docs[0].text)
        while time.monotonic() < until and not context.cancelled:
            time.sleep(0.01)
        docs[0].text = "cancelled" if context.cancelled else "slept"

    @requests(on="/hang")
    def hang(self) -> None:
        time.sleep(1000)

    @requests(on="/array")
    def array(self, docs: DocumentArray) -> None:
        for document in docs:
            document.embedding *= 2

    @requests(on="/truth")
    def truth(self, groundtruths: DocumentArray, parameters: dict[str, Any]) -> None:
        groundtruths[0].text += "!"
        parameters["more"] = 1

    @requests(on="/start")
    def start(self, docs: DocumentArray) -> None:
        kind = docs[0].text
        if kind == "program":
            docs[0].text = subprocess.run(["echo", "3"], capture_output=True, text=True, check=True).stdout.strip()
        else:
            with multiprocessing.get_context(kind).Pool(1) as pool:
                docs[0].text = str(pool.map(abs, [-3])[0])

    @requests(on="/past_checks")
    def past_checks(self, docs: DocumentArray) -> None:
        docs[0]._text = 5  # type: ignore[assignment]

    @requests(on="/object")
    def object(self, docs: DocumentArray) -> None:
        docs[0].tags["k"] = object()


class Hangs(Executor):
    """Is never made."""

    def __init__(self) -> None:
        time.sleep(1000)

    @requests
    def f(self) -> None:
        pass


class Quick(Executor):
    """Has no ``def``: nothing of it is in the way of the others."""

    @requests(on="/wait")
    async def wait(self, docs: DocumentArray) -> None:
        await asyncio.sleep(float(docs[0].text))


def made(uses: Any = Child, **spec: Any) -> Any:
    return make_engine(ExecutorSpec(uses=uses, name="child", **spec), "process")


@pytest.fixture
def engine() -> Iterator[Any]:
    engine = made()
    wait_for(engine.start)
    yield engine
    wait_for(engine.stop)
    assert gone(engine)


def gone(engine: Any) -> bool:
    """Whether its process has ended, and was reaped."""
    try:
        os.kill(engine._calls.child.pid, 0)
    except ProcessLookupError:
        return True
    return False


def ask(engine: Any, endpoint: str, text: str = "", **fields: Any) -> str:
    answered = wait_for(lambda: asking(engine, request(Document(text), endpoint=endpoint, **fields)))
    return answered.docs[0].text  # type: ignore[no-any-return]


def until(condition: Callable[[], bool]) -> None:
    """Let the reactor run until *condition* holds."""

    def look() -> Any:
        return None if condition() else deferLater(reactor, 0.01, look)  # type: ignore[arg-type]

    wait_for(lambda: deferLater(reactor, 0, look))  # type: ignore[arg-type]


class TestItsOwn:
    def test_process(self, engine: Any) -> None:
        """It is another process, which ends when the engine has stopped."""
        pid = ask(engine, "/pid")
        assert pid == str(engine._calls.child.pid) != str(os.getpid())
        assert ask(engine, "/pid") == pid

    def test_modules(self, engine: Any) -> None:
        """It loads neither Twisted nor what serves, nor asyncio where no method needs it. (The test's module does.)"""
        code = (
            "import sys, twisted_flow.worker.program, twisted_flow.worker.worker; "
            "print([m for m in sys.modules if m.split('.')[0] in ('twisted', 'zope', 'klein', 'autobahn', 'grpc', "
            "'asyncio', 'uvloop', 'google', 'yaml')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.stdout == "[]\n", done.stderr

    def test_environment(self) -> None:
        """``env`` is there before the executor's module is imported."""
        engine = made(env={"MINE": "yes"})
        wait_for(engine.start)
        assert ask(engine, "/environment", "MINE") == "yes"
        assert ask(engine, "/environment", "PATH") == os.environ["PATH"]
        wait_for(engine.stop)

    def test_arrays(self, engine: Any) -> None:
        """Large ones and small ones come back changed, and writable."""
        for size in (2, 5000, 10**6):
            docs = [Document(embedding=np.arange(size, dtype="f4")) for _ in range(2)]
            answered = wait_for(lambda docs=docs: asking(engine, request(*docs, endpoint="/array")))  # type: ignore[misc]
            for document in answered.docs:
                assert document.embedding[-1] == (size - 1) * 2
                document.embedding[0] = 5

    def test_what_else_a_method_changes(self, engine: Any) -> None:
        """Groundtruths and parameters come back too, as from a thread."""
        asked = request(Document(), groundtruths=DocumentArray([Document("t")]), endpoint="/truth")
        answered = wait_for(lambda: asking(engine, asked))
        assert (answered.groundtruths.texts, answered.parameters) == (["t!"], {"more": 1})

    def test_object_in_tags(self, engine: Any) -> None:
        """What cannot travel is the executor's error; the process lives on."""
        with pytest.raises(ExecutorError, match="executor 'child' the answer cannot be encoded: /data/docs/0/tags/k"):
            ask(engine, "/object")
        document = Document()
        document.tags["k"] = object()
        with pytest.raises(ExecutorError, match="what executor 'child' takes cannot be encoded: /data/docs/0/tags/k"):
            wait_for(lambda: asking(engine, request(document, endpoint="/pid")))
        assert ask(engine, "/pid")

    def test_answer_that_cannot_be_read(self, engine: Any) -> None:
        """What a method has put past all checks fails its own call alone."""
        with pytest.raises(ExecutorError, match="the answer cannot be encoded"):
            ask(engine, "/past_checks")
        assert ask(engine, "/pid")
        assert engine.health == "ready"

    def test_signals_for_the_server(self, engine: Any) -> None:
        """A stop signal to all processes of a terminal, or a unit, is for the server alone."""
        pid = int(ask(engine, "/pid"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            os.kill(pid, number)
        assert ask(engine, "/pid") == str(pid)

    def test_no_room_for_a_child(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A start that fails before there is a process is tried again, too."""

        def full(*arguments: Any, **options: Any) -> Any:
            raise OSError(24, "Too many open files")

        spawn = engine._spawn
        engine._spawn = full
        with pytest.raises(FlowError):
            ask(engine, "/die", "exit")
        until(lambda: engine._again is not None)
        engine._again.reset(0)
        until(lambda: engine._restarts._in_a_row == 2)
        engine._spawn = spawn
        engine._again.reset(0)
        until(lambda: engine.health == "ready")

    def test_processes_of_its_own(self, engine: Any) -> None:
        """A method may start programs, and pools of processes of either kind."""
        for kind in ("program", "spawn", "fork"):
            assert ask(engine, "/start", kind) == "3"

    def test_log(self, engine: Any) -> None:
        """What it logs, warns of and prints is in the server's log, under its name."""
        with Log() as lines:
            ask(engine, "/talk")
            until(lambda: len(lines) >= 3)
        text = "\n".join(sorted(lines))
        assert "info executor child: from print" in text
        assert "warn executor child: from logging" in text
        assert "UserWarning: from warnings" in text
        assert "not this" not in text

    def test_many_at_once(self) -> None:
        """``async def`` methods run beside each other; no more than the window."""
        engine = made(Quick)
        wait_for(engine.start)
        began = time.monotonic()
        wait_for(lambda: DeferredList([asking(engine, request(Document("0.1"), endpoint="/wait")) for _ in range(50)]))
        assert time.monotonic() - began < 2
        assert engine.window == 256
        wait_for(engine.stop)
        assert made(max_concurrency=3).window == 3


class TestCancelling:
    def test_a_method_that_runs(self, engine: Any) -> None:
        """The caller fails at once; the method can see it, and the calls behind it are answered."""

        def both() -> Deferred[Any]:
            first = asking(engine, request(Document("20"), endpoint="/sleep"))
            second = asking(engine, request(Document("0"), endpoint="/sleep"))
            cancelled = deferLater(reactor, 0.05, first.cancel)  # type: ignore[arg-type]
            return DeferredList([first, second, cancelled], consumeErrors=True)

        (answered, _), (well, response), _ = wait_for(both)
        assert not answered
        assert well
        assert response.docs[0].text == "slept"
        assert engine.window == 16

    def test_a_call_that_had_not_begun(self) -> None:
        """It gives up its place at once, and has nobody killed: the call before it goes on."""
        engine = made(kill_after=0.1)
        wait_for(engine.start)

        def both() -> Deferred[Any]:
            runs = asking(engine, request(Document("0.6"), endpoint="/sleep", deadline=time.monotonic() + 20))
            waits = asking(engine, request(Document("0"), endpoint="/sleep", deadline=time.monotonic() + 0.05))
            deferLater(reactor, 0.1, waits.cancel)  # type: ignore[arg-type]
            return DeferredList([runs, waits], consumeErrors=True)

        (well, response), (answered, _) = wait_for(both)
        assert (well, answered) == (True, False)
        assert response.docs[0].text == "slept"
        assert (engine.health, engine.window) == ("ready", 16)
        wait_for(engine.stop)

    def test_a_method_that_hangs(self) -> None:
        """Its place counts until it ends; `kill_after` seconds beyond its deadline its process is killed, and replaced."""
        engine = made(kill_after=0.1)
        wait_for(engine.start)
        asked = request(Document(), endpoint="/hang", deadline=time.monotonic() + 0.1)

        def cancelled() -> Deferred[Any]:
            answer = asking(engine, asked)
            deferLater(reactor, 0.1, answer.cancel)  # type: ignore[arg-type]
            return answer.addErrback(lambda _: engine.window)

        with Log() as lines:
            assert wait_for(cancelled) == 15
            until(lambda: engine.health == "restarting")
        assert "a call had not ended 0.1 s after its deadline" in "\n".join(lines)
        until(lambda: engine.health == "ready")
        assert ask(engine, "/pid")
        wait_for(engine.stop)


class TestCrashes:
    @pytest.mark.parametrize(("how", "told"), [("exit", "with status 3"), ("kill", "by signal 9 (SIGKILL)")])
    def test_crash(self, engine: Any, how: str, told: str) -> None:
        """What it had fails, retryable; what waits is answered by the next process. One record has status and last lines."""
        admitted = Admission(engine, 100)

        def many() -> Deferred[Any]:
            dies = asking(admitted, request(Document(how), endpoint="/die"))
            others = [asking(admitted, request(Document(), endpoint="/pid")) for _ in range(40)]
            return DeferredList([dies, *others], consumeErrors=True)

        with Log() as lines:
            (_, died), *others = wait_for(many)
        assert isinstance(died.value, Unavailable)
        assert died.value.retryable
        failed = [outcome.value for well, outcome in others if not well]
        assert len(failed) == 15  # it had them
        assert all(isinstance(error, Unavailable) and error.retryable for error in failed)
        pids = {outcome.docs[0].text for well, outcome in others if well}
        assert pids == {str(engine._calls.child.pid)}
        (record,) = [line for line in lines if "its process ended" in line]
        assert told in record
        assert "about to die" in record
        assert "info executor child runs again" in lines

    def test_failed(self, engine: Any, tmp_path: pathlib.Path) -> None:
        """After five crashes within a minute it is `failed`, and what waits is answered so; a start that succeeds ends it."""
        gate = tmp_path / "gate"
        other = made(uses_with={"crash_when": str(gate)})
        wait_for(other.start)
        for _ in range(4):  # as if it had
            other._restarts.crashed(other.clock.seconds())
        gate.touch()
        admitted = Admission(other, 100)
        with pytest.raises(Unavailable):
            ask(admitted, "/die", "exit")
        until(lambda: other.health == "failed")
        with pytest.raises(Unavailable, match="is failed"):
            ask(admitted, "/pid")
        gate.unlink()
        other._again.reset(0)
        until(lambda: other.health == "ready")
        assert ask(admitted, "/pid")
        wait_for(other.stop)

    def test_start(self, tmp_path: pathlib.Path) -> None:
        """One that ends in its constructor does not start."""
        gate = tmp_path / "gate"
        gate.touch()
        engine = made(uses_with={"crash_when": str(gate)})
        with pytest.raises(Unavailable, match="ended before it was ready"):
            wait_for(engine.start)
        wait_for(engine.stop)
        assert engine.health == "stopped"

    def test_start_that_hangs(self) -> None:
        """A constructor that does not end is given up after `start_timeout`; a start that is cancelled ends too."""
        engine = made(Hangs, start_timeout=0.5)
        with pytest.raises(TimeoutError, match="was not made within 0.5 s"):
            wait_for(engine.start)
        wait_for(engine.stop)
        assert gone(engine)
        other = made(Hangs)

        def cancelled() -> Deferred[Any]:
            starting = other.start()
            deferLater(reactor, 0.3, starting.cancel)  # type: ignore[arg-type]
            return starting.addErrback(lambda failure: failure.type)  # type: ignore[no-any-return]

        wait_for(cancelled)
        wait_for(other.stop)
        assert gone(other)

    def test_stop_while_it_restarts(self, engine: Any) -> None:
        """Nothing is started any more."""
        with pytest.raises(FlowError):
            ask(engine, "/die", "exit")
        until(lambda: engine._again is not None)
        wait_for(engine.stop)
        assert (engine.health, engine._again) == ("stopped", None)

    def test_stop_that_is_given_up(self) -> None:
        """A stop that is cancelled, since a method does not end, kills the process."""
        engine = made()
        wait_for(engine.start)

        def stop() -> Deferred[Any]:
            asking(engine, request(Document(), endpoint="/hang")).addErrback(lambda _: None)
            stopping = deferLater(reactor, 0.05, engine.stop)  # type: ignore[arg-type]
            deferLater(reactor, 0.2, stopping.cancel)  # type: ignore[arg-type]
            return stopping.addErrback(lambda _: None)

        wait_for(stop)
        assert gone(engine)


class TestWhatCannotBe:
    def test_objects(self) -> None:
        """An object, a lambda, a local class: one line says what to do."""

        class Local(Child):
            """Nobody else finds it."""

        for uses, told in (
            (Child(), "give its class"),
            (Local, "move it to the top of its module"),
            (lambda docs: None, "move it to the top of its module"),
        ):
            with pytest.raises(ConfigurationError, match=told) as wrong:
                made(uses)
            assert "\n" not in str(wrong.value)

    def test_arguments(self) -> None:
        """Nor arguments that cannot be pickled."""
        with pytest.raises(ConfigurationError, match="uses_with of child cannot be sent to its process"):
            made(uses_with={"crash_when": lambda: None})

    def test_deferreds(self) -> None:
        """Nor methods that return Deferreds: there is no reactor."""
        with pytest.raises(ConfigurationError, match="returns a Deferred"):
            made(Later)


class Later(Executor):
    """Needs a reactor."""

    @requests
    def f(self) -> Deferred[None]:
        raise NotImplementedError


SCRIPT = """
import multiprocessing, os, sys, time
from twisted_flow import Document, Executor, Flow, requests

def double(number):
    return 2 * number

class Mine(Executor):
    @requests
    def f(self, docs):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.map(double, [2]) == [4]
        docs[0].text = f"{type(self).__module__} {os.getpid()} {os.getppid()}"

    def close(self):
        print("closed", flush=True)

GUARD
    with Flow(protocol="http").add(Mine, engine="process") as flow:
        told = flow.post("/", Document(), return_results=True)[0].docs[0].text
        print(told, os.getpid(), flush=True)
        if "wait" in sys.argv:
            time.sleep(60)
"""


class TestScripts:
    def test_class_of_the_script(self, tmp_path: pathlib.Path) -> None:
        """A class of the main script runs; the script is not run again. A closed executor may print to the end."""
        (tmp_path / "script.py").write_text(SCRIPT.replace("GUARD", 'if __name__ == "__main__":'))
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT
        )
        module, child, parent, ours = re_line(done.stdout)
        assert (module, parent) == ("__mp_main__", ours), done.stderr
        assert child != ours

    def test_without_a_guard(self, tmp_path: pathlib.Path) -> None:
        """A script that starts a flow while it is imported is told to guard that."""
        (tmp_path / "script.py").write_text(SCRIPT.replace("GUARD", "if True:"))
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT
        )
        assert done.returncode == 1
        assert "script.py starts a flow while it is imported: guard that by if __name__ == '__main__'" in done.stderr

    def test_outlived_by_none(self, tmp_path: pathlib.Path) -> None:
        """SIGKILL of the server ends the process too."""
        (tmp_path / "script.py").write_text(SCRIPT.replace("GUARD", 'if __name__ == "__main__":'))
        with subprocess.Popen(
            [sys.executable, "script.py", "wait"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            line = next(line for line in server.stdout if line.startswith("__mp_main__"))
            child = int(line.split()[1])
            server.kill()
            server.wait(TIMEOUT)
        until(lambda: not pathlib.Path(f"/proc/{child}").exists())


def re_line(output: str) -> list[str]:
    (line,) = [line for line in output.splitlines() if line.startswith("__mp_main__")]
    return line.split()
