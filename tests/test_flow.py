"""`Flow`, as a user of Python has it."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest
from twisted.application.service import IService
from zope.interface.verify import verifyObject

from tests.support import TIMEOUT, wait_for
from twisted_flow import (
    Client,
    ConfigurationError,
    Document,
    DocumentArray,
    Executor,
    Flow,
    FlowError,
    Limits,
    requests,
)


class Count(Executor):
    def __init__(self, start: int = 0) -> None:
        self.count = start

    @requests(on="/count")
    async def add(self, docs: DocumentArray) -> None:
        """Count documents."""
        self.count += len(docs)
        for document in docs:
            document.tags["count"] = self.count

    async def close(self) -> None:
        CLOSED.append(self.count)


CLOSED: list[int] = []


def ask(flow: Flow, path: str, **body: Any) -> Any:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{flow.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
        return json.load(answer)


class TestServing:
    def test_with(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``with`` starts and stops it; the banner tells where it listens; the executor is closed."""
        flow = Flow(protocol="http", host="127.0.0.1").add(uses=Count, uses_with={"start": 5}).expose_endpoint("/count")
        assert (flow.num_executors, flow.port) == (1, 0)
        CLOSED.clear()
        with flow:
            assert flow.port > 0
            assert ask(flow, "/count", data=["a"])["data"]["docs"][0]["tags"] == {"count": 6}
        assert CLOSED == [6]
        printed = capsys.readouterr().out.splitlines()
        assert printed[:2] == ["ready and listening", "🎉 Flow is ready to use!"]
        assert any(line.startswith("\t🏠 Local access:\t127.0.0.1:") for line in printed)
        assert any("📚 Redoc:" in line and "/redoc" in line for line in printed)

    def test_again_and_again(self) -> None:
        """It starts and stops as often as one likes, in the main thread and in others; several at once."""
        flow, other = (Flow(protocol="http", host="127.0.0.1").add(uses=Count) for _ in range(2))
        for _ in range(3):
            with flow, other:
                assert ask(flow, "/post", execEndpoint="/count", data=["a"])["status"]["code"] == 0
                assert flow.port != other.port
        failures: list[BaseException] = []

        def elsewhere() -> None:
            try:
                with flow:
                    ask(flow, "/index")
            except BaseException as wrong:
                failures.append(wrong)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(TIMEOUT)
        assert failures == []

    def test_close_twice(self) -> None:
        """Closing what is not started does nothing; starting what is started is a mistake."""
        flow = Flow(protocol="http", host="127.0.0.1")
        flow.close()
        with flow, pytest.raises(RuntimeError, match="already started"):
            flow.start()
        flow.close()

    def test_in_the_reactor(self) -> None:
        """In the reactor's own thread there is nothing to wait on: one line says so."""
        flow = Flow(protocol="http", host="127.0.0.1")
        with pytest.raises(RuntimeError, match="reactor's own thread"):
            wait_for(flow.start)

    def test_fork(self) -> None:
        """A process that was forked after the first use has no reactor, and is told so in place of hanging."""
        code = """
import os
from twisted_flow import Client, Flow
with Flow(protocol="http", host="127.0.0.1") as flow:
    client = Client(protocol="http", port=flow.port)
    client.post("/", "a")
    child = os.fork()
    if not child:
        for use in (lambda: client.post("/", "a"), lambda: flow.post("/", "a"), lambda: Flow(protocol="http").start()):
            try:
                use()
            except RuntimeError as wrong:
                assert "after the fork" in str(wrong), wrong
            else:
                os._exit(1)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert client.post("/", "a", return_results=True)[0].docs.texts == ["a"]
    client.close()
print("all well")
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.stdout.endswith("all well\n"), done.stderr

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_notebook(self, loop: str) -> None:
        """In cells that run in an event loop, as a notebook's do; the loop is left as it was."""
        code = f"""
import asyncio, {loop}
from twisted_flow import Client, Document, Flow, requests, Executor

class Upper(Executor):
    @requests
    async def upper(self, docs, **kwargs):
        for doc in docs:
            doc.text = doc.text.upper()

def cell_1():
    global flow
    flow = Flow(protocol="http", host="127.0.0.1").add(uses=Upper).start()

async def cell_2():
    (response,) = flow.post("/", "a", return_results=True)
    client = Client(protocol="http", port=flow.port, asyncio=True)
    async for again in client.post("/", "b"):
        return response.docs.texts + again.docs.texts

async def main():
    mine = asyncio.get_running_loop()
    for _ in range(2):
        cell_1()
        assert await cell_2() == ["A", "B"]
        flow.close()
        with Flow(protocol=["grpc", "websocket"], host="127.0.0.1").add(uses=Upper) as other:
            assert other.post("/", "c", return_results=True)[0].docs.texts == ["C"]
    assert asyncio.get_event_loop() is mine

loop = {loop}.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(main())
assert asyncio.get_event_loop() is loop
print("all well")
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.stdout.endswith("all well\n"), done.stderr

    def test_block_elsewhere(self) -> None:
        """Outside the main thread ``block`` waits until the flow is closed."""
        flow = Flow(protocol="http", host="127.0.0.1").start()
        thread = threading.Thread(target=flow.block)
        thread.start()
        assert thread.is_alive()
        flow.close()
        thread.join(TIMEOUT)
        assert not thread.is_alive()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_block(self, tmp_path: pathlib.Path, number: int) -> None:
        """In the main thread it waits for Ctrl-C or SIGTERM, and gives the signals back."""
        code = """
import signal
from twisted_flow import Flow
before = signal.getsignal(signal.SIGTERM)
with Flow(protocol="http", host="127.0.0.1") as flow:
    flow.block()
assert signal.getsignal(signal.SIGTERM) is before
print("ended", flush=True)
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "Redoc" in line:
                    break
            # The banner comes before block() has its handlers: ask until it ends.
            timer = threading.Timer(0.3, process.send_signal, [number])
            timer.start()
            assert process.stdout.read() == "ended\n"
            assert process.wait(TIMEOUT) == 0

    def test_forgotten(self) -> None:
        """A program that ends with a flow running ends all the same, quietly and with its own status."""
        code = """
from twisted_flow import Flow
flow = Flow(protocol=["http", "grpc"], host="127.0.0.1", port=[0, 0]).start()
flow.post("/", "a")
raise SystemExit(3)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 3
        assert done.stderr.splitlines()[1:] == []  # but where it was connected to


class Echo(Executor):
    """Says what it hears, and then that it has ended."""

    @requests(on="/echo")
    async def echo(self, docs: AsyncIterator[Document]) -> AsyncIterator[Document]:
        async for doc in docs:
            yield doc
        await asyncio.sleep(0.05)
        yield Document("end")


class TestSwitching:
    def test_before_start(self) -> None:
        """Before its start a flow changes its protocol by a word."""
        flow = Flow(host="127.0.0.1").add(uses=Count)
        flow.protocol = "http"
        with flow:
            assert ask(flow, "/index", data=["a"])["status"]["code"] == 0
        with pytest.raises(ConfigurationError, match="did you mean 'http'"):
            flow.protocol = "htp"

    @pytest.mark.parametrize(
        ("old", "new"), [("http", "websocket"), ("grpc", "http"), ("http", "grpc"), ("websocket", "grpc")]
    )
    def test_under_load(self, old: str, new: str) -> None:
        """While it runs: the port stays, executors keep their state, and every accepted request is answered."""
        with Flow(protocol=old, host="127.0.0.1").add(uses=Count) as flow:
            port = flow.port
            flow.post("/count", "a")
            answered: list[Any] = []
            failures: list[BaseException] = []
            begun = threading.Event()

            def load() -> None:
                client = Client(protocol=old, host="127.0.0.1", port=port)
                try:
                    while True:
                        answered.extend(client.post("/count", ["a", "b"], return_results=True))
                        begun.set()
                except FlowError as wrong:
                    failures.append(wrong)

            thread = threading.Thread(target=load)
            thread.start()
            assert begun.wait(TIMEOUT)
            flow.protocol = new
            thread.join(TIMEOUT)
            # The old protocol is gone: nobody answers it, or a WebSocket's port that knows no such route.
            assert [type(each).__name__ for each in failures] in (["Unavailable"], ["NotFound"])
            (response,) = flow.post("/count", "a", return_results=True)
            counted = response.docs[0].tags["count"]
            assert counted == 2 + 2 * len(answered)
            assert (flow.protocol, flow.port) == (new, port)

    @pytest.mark.parametrize(
        ("old", "new"), [("http", "websocket"), ("grpc", "http"), ("http", "grpc"), ("websocket", "grpc")]
    )
    def test_with_a_stream_under_way(self, old: str, new: str) -> None:
        """It goes on to its end over the old protocol, both ways; over the new one others begin."""
        with Flow(protocol=old, host="127.0.0.1").add(uses=Echo) as flow:
            talk = Client(protocol=old, host="127.0.0.1", port=flow.port).open("/echo")
            talk.send("a")
            if old == "http":  # where all have to be there
                talk.end()
            assert next(talk).text == "a"
            switching = threading.Thread(target=setattr, args=(flow, "protocol", new))
            switching.start()
            if old != "http":
                talk.send("b")
                assert next(talk).text == "b"
                talk.end()
            assert [doc.text for doc in talk] == ["end"]
            switching.join(TIMEOUT)
            assert [doc.text for doc in flow.stream("/echo", "c")] == ["c", "end"]

    def test_refused(self) -> None:
        """A protocol that there is not changes nothing."""
        with Flow(protocol="http", host="127.0.0.1").add(uses=Count) as flow:
            with pytest.raises(ConfigurationError):
                flow.protocol = "tea"
            assert ask(flow, "/index", data=["a"])["status"]["code"] == 0


class TestMistakes:
    def test_names(self) -> None:
        """A name that is wrong is told, with the nearest."""
        with pytest.raises(ConfigurationError, match="'htp'.*did you mean 'http'"):
            Flow(protocol="htp")
        with pytest.raises(TypeError, match="titel"):
            Flow(titel="x")  # type: ignore[call-arg]
        with pytest.raises(ConfigurationError, match="two executors are named 'a'"):
            Flow().add(uses=Count, name="a").add(uses=Count, name="a")

    @pytest.mark.parametrize(
        "wrong",
        [{"port": 70000}, {"port": "8080 "}, {"port": 1, "port_expose": 2}, {"limits": Limits(max_body=0)}],
    )
    def test_settings(self, wrong: dict[str, Any]) -> None:
        """So is a setting that makes no sense."""
        with pytest.raises(ConfigurationError):
            Flow(**wrong)

    @pytest.mark.parametrize(
        "wrong", [{"path": "x"}, {"path": "/a b"}, {"methods": ["BREW"]}, {"methods": []}, {"status_code": 404}]
    )
    def test_routes(self, wrong: dict[str, Any]) -> None:
        """And a route that cannot be one."""
        with pytest.raises(ConfigurationError):
            Flow().expose_endpoint("/foo", **wrong)

    def test_routes_of_the_servers_own(self) -> None:
        """No endpoint takes the place of what clients and tools count on, unless that is switched off."""
        for path in ("/post", "/status", "/docs", "/openapi.json"):
            with pytest.raises(ConfigurationError, match="the server's own"):
                Flow().expose_endpoint("/foo", path=path)
            Flow(no_debug_endpoints=True, docs=False).expose_endpoint("/foo", path=path)

    def test_taken_port(self) -> None:
        """Of two flows on one port the second is told, and leaves nothing behind."""
        with Flow(protocol="http", host="127.0.0.1") as flow:
            other = Flow(protocol="http", host="127.0.0.1", port=flow.port)
            with pytest.raises(ConfigurationError, match="Address already in use"):
                other.start()
        with other:
            ask(other, "/index")

    def test_executor_that_cannot_be_made(self) -> None:
        """``start`` raises what the constructor raised; what had started is stopped, and the port is free again."""

        class Broken(Count):
            def __init__(self) -> None:
                raise ValueError("no model")

        CLOSED.clear()
        flow = Flow(protocol="http", host="127.0.0.1").add(uses=Count).add(uses=Broken)
        with pytest.raises(ValueError, match="no model"):
            flow.start()
        assert CLOSED == [0]


class TestService:
    def test_adapts(self) -> None:
        """A flow adapts to `IService`."""
        verifyObject(IService, IService(Flow(protocol="http", host="127.0.0.1")))

    @pytest.mark.parametrize("protocol", ["http", "websocket", "grpc"])
    def test_service_that_starts_again(self, protocol: str) -> None:
        """On the same port, with executors that are made anew."""
        service: Any = IService(Flow(protocol=protocol, host="127.0.0.1").add(uses=Count))
        for _ in range(3):
            wait_for(service.start)
            client = Client(protocol=protocol, port=service.ports[0])
            assert client.post("/count", "a", return_results=True)[0].docs[0].tags["count"] == 1
            client.close()
            wait_for(service.stop)

    @pytest.mark.parametrize("reactor", [[], ["--reactor=epoll"]], ids=["ours", "epoll"])
    def test_tac(self, tmp_path: pathlib.Path, reactor: list[str]) -> None:
        """In a ``.tac`` it serves beside whatever else is there."""
        (tmp_path / "flow.tac").write_text(
            "from twisted.application.service import Application, IService\n"
            "from twisted_flow import Flow\n"
            "application = Application('mine')\n"
            "IService(Flow(protocol='http', host='127.0.0.1')).setServiceParent(application)\n"
        )
        twistd = pathlib.Path(sys.executable).with_name("twistd")
        command = [twistd, *reactor, "-n", "--pidfile=", "-y", "flow.tac"]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        ) as process:
            try:
                assert process.stdout is not None
                line = next(line for line in process.stdout if "Local access" in line)
                port = int(line.rsplit(":", 1)[1])
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=TIMEOUT) as answer:
                    assert answer.status == 200
            finally:
                process.terminate()
                process.communicate(timeout=TIMEOUT)


def test_origins() -> None:
    """One origin may be named by itself; what is none is said to be none."""
    assert Flow(cors="https://a.example").config.http.cors == ("https://a.example",)
    assert Flow(cors=["http://localhost:3000", "null"]).config.http.cors == ("http://localhost:3000", "null")
    for wrong in ("a.example", "https://a.example/", "*", ["https://a.example", ""]):
        with pytest.raises(ConfigurationError, match="an origin is like"):
            Flow(cors=wrong)
