"""A client in programs of all kinds: its time, its threads, its sockets and its loop are its own, and none of theirs."""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.support import TIMEOUT, serving
from twisted_flow import Client, Document, DocumentArray, Executor, Flow, requests
from twisted_flow.errors import DeadlineExceeded, FlowError, Unavailable

PROTOCOLS = ["grpc", "http", "websocket"]


class Upper(Executor):
    """Makes capitals."""

    @requests
    async def upper(self, docs: DocumentArray) -> None:
        for document in docs:
            document.text = (document.text or "").upper()


@pytest.fixture(scope="module")
def flows() -> Iterator[dict[str, int]]:
    """The port of each protocol."""
    with Flow(protocol=PROTOCOLS, host="127.0.0.1").add(uses=Upper) as flow:
        yield dict(flow.ports)


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def port(protocol: str, flows: dict[str, int]) -> int:
    return flows[protocol]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(program: str, *arguments: str, **environment: str) -> str:
    """What *program* writes, which has to end well."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program, *arguments],
        capture_output=True, text=True, timeout=TIMEOUT * 2, env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestTime:
    def test_a_server_that_is_frozen(self, protocol: str, tmp_path: pathlib.Path) -> None:
        """It tells nobody that it is late; the client keeps the time itself, connected before or not."""
        with serving(f"--protocol={protocol}", cwd=tmp_path) as server:
            with Client(protocol=protocol, host="127.0.0.1", port=server.port) as client:  # type: ignore[attr-defined]
                client.post("/x", "a", timeout=5)
                os.kill(server.process.pid, signal.SIGSTOP)
                try:
                    for each in (client, Client(protocol=protocol, port=server.port)):  # type: ignore[attr-defined]
                        began = time.monotonic()
                        with pytest.raises(DeadlineExceeded):
                            each.post("/x", "a", timeout=0.5)
                        assert time.monotonic() - began < TIMEOUT / 2
                finally:
                    os.kill(server.process.pid, signal.SIGCONT)
                client.post("/x", "a", timeout=TIMEOUT)

    def test_a_server_that_says_nothing(self, protocol: str) -> None:
        """Whatever has the port."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            client = Client(protocol=protocol, host="127.0.0.1", port=silent.getsockname()[1])
            told: list[Any] = []
            assert client.post("/x", "a", timeout=0.3, on_error=told.append, return_results=True) == []
            assert isinstance(told[0], DeadlineExceeded)

    def test_the_servers_own_word(self, protocol: str, port: int) -> None:
        """A server that keeps its time is heard first: what is asked for less than can be kept is given that."""
        assert Client(protocol=protocol, port=port).post("/x", "a", timeout=1e-9, return_results=True)


class TestUnreachable:
    def test_it_is_told_as_other_failures_are(self, protocol: str) -> None:
        """By exception, to a callback, or not at all."""
        client = Client(protocol=protocol, host="127.0.0.1", port=free_port())
        with pytest.raises(Unavailable):
            client.post("/x", "a")
        told: list[Any] = []
        client.post("/x", "a", on_error=told.append)
        assert [type(each) for each in told] == [Unavailable]
        assert client.post("/x", "a", continue_on_error=True, return_results=True) == []

        async def ask() -> None:
            calling = Client(protocol=protocol, host="127.0.0.1", port=client.port, asyncio=True)
            with pytest.raises(Unavailable):
                async for _ in calling.post("/x", "a"):
                    pass
            async for _ in calling.post("/x", "a", on_error=told.append):
                pass
            assert [response async for response in calling.post("/x", "a", continue_on_error=True)] == []

        asyncio.run(ask())
        assert [type(each) for each in told] == [Unavailable] * 2

    def test_a_new_client_does_not_know_of_older_failures(self, protocol: str) -> None:
        """It connects as soon as there is a server, whatever another one has just seen there."""
        number = free_port()
        for _ in range(3):
            with pytest.raises(Unavailable):
                Client(protocol=protocol, host="127.0.0.1", port=number).post("/x", "a")
        with Flow(protocol=protocol, host="127.0.0.1", port=number).add(uses=Upper):
            assert Client(protocol=protocol, host="127.0.0.1", port=number).post("/x", "a", return_results=True)


class TestInputs:
    def test_an_input_that_needs_the_last_answer(self, protocol: str, port: int) -> None:
        """A generator may wait for what its last input was answered."""
        answers: queue.Queue[str] = queue.Queue()

        def texts() -> Iterator[str]:
            yield "a"
            for _ in range(3):
                yield answers.get(timeout=TIMEOUT) + "b"

        client = Client(protocol=protocol, port=port)
        client.post("/x", texts, lambda response: answers.put(response.docs[0].text), request_size=1)
        assert answers.get(timeout=TIMEOUT) == "ABBB"

    def test_callbacks_are_the_callers(self, protocol: str, port: int) -> None:
        """Where inputs come as they are wanted, callbacks are called in the caller's thread; never in two at once."""
        import threading

        threads: set[int] = set()
        client = Client(protocol=protocol, port=port)
        client.post("/x", (str(n) for n in range(50)), lambda _: threads.add(threading.get_ident()), request_size=1)
        assert threads == {threading.get_ident()}

    def test_a_failing_callback_while_the_generator_waits(self, protocol: str, port: int) -> None:
        """What it raises is raised."""

        def texts() -> Iterator[str]:
            yield "a"
            time.sleep(0.5)
            yield "b"

        def fail(_: Any) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            Client(protocol=protocol, port=port).post("/x", texts, fail, request_size=1)

    def test_slow_asynchronous_inputs(self, protocol: str, port: int) -> None:
        """Each answer is there before the next input is, which may depend on it."""

        async def ask() -> list[str]:
            seen: list[str] = []

            async def texts() -> AsyncIterator[str]:
                yield "a"
                for count in (1, 2, 3):
                    while len(seen) < count:
                        await asyncio.sleep(0.01)
                    yield seen[-1] + "b"

            async with Client(protocol=protocol, port=port, asyncio=True) as client:
                async for response in client.post("/x", texts, request_size=1):
                    seen.append(response.docs[0].text or "")
            return seen

        assert asyncio.run(asyncio.wait_for(ask(), TIMEOUT)) == ["A", "AB", "ABB", "ABBB"]

    def test_inputs_that_fail(self, protocol: str, port: int) -> None:
        """What a generator raises is raised, of either kind; a client that is left alone ends it."""
        ended: list[str] = []

        async def texts() -> AsyncIterator[str]:
            try:
                for number in range(10_000):
                    yield str(number)
            finally:
                ended.append("asynchronous")

        async def failing() -> AsyncIterator[str]:
            yield "a"
            raise KeyError("odd")

        async def ask() -> None:
            async with Client(protocol=protocol, port=port, asyncio=True) as client:
                responses = client.post("/x", texts, request_size=1)
                async for _ in responses:
                    break
                await responses.aclose()
                with pytest.raises(KeyError):
                    async for _ in client.post("/x", failing, request_size=1):
                        pass
                await asyncio.sleep(0)
                assert [response.docs[0].text async for response in client.post("/x", "still")] == ["STILL"]

        asyncio.run(asyncio.wait_for(ask(), TIMEOUT))
        assert ended == ["asynchronous"]

    def test_progress(self, protocol: str, port: int, capsys: pytest.CaptureFixture[str]) -> None:
        """It counts what was sent, and in good English."""
        client = Client(protocol=protocol, port=port)
        for texts, said in ((["a"], "1 document in 1 request, "), (["a"] * 5, "5 documents in 3 requests, ")):
            client.post("/x", texts, request_size=2, show_progress=True)
            assert capsys.readouterr().err.rpartition("\r")[2].startswith(said)


@pytest.mark.parametrize("host", ["::1", "[::1]", "[::1]:{port}", "{scheme}://[::1]:{port}"])
def test_ipv6(protocol: str, host: str, capfd: pytest.CaptureFixture[str]) -> None:
    """An address of IPv6, however it is written, on either side."""
    for bound in ("::1", "[::1]"):
        with Flow(protocol=protocol, host=bound).add(uses=Upper) as flow:
            told = capfd.readouterr().out
            assert f"[::1]:{flow.port}" in told
            assert "//::1" not in told
            assert flow.post("/x", "a", return_results=True)[0].docs[0].text == "A"
            scheme = {"websocket": "ws"}.get(protocol, protocol)
            named = host.format(port=flow.port, scheme=scheme)
            port = None if "{port}" in host else flow.port
            with Client(protocol=protocol, host=named, port=port) as client:
                assert (client.protocol, client.port) == (protocol, flow.port)
                assert client.post("/x", "a", return_results=True)[0].docs[0].text == "A"


class TestSockets:
    def test_clients_that_are_dropped(self, protocol: str, port: int) -> None:
        """They take their connections along; those that are closed too."""

        def descriptors() -> int:
            return len(os.listdir("/proc/self/fd"))

        def ask(close: Callable[[Client], None]) -> None:
            client = Client(protocol=protocol, port=port)
            client.post("/x", "a")
            close(client)

        for close in (lambda client: None, Client.close, lambda client: client.__exit__()):
            ask(close)
            before = descriptors()
            for _ in range(20):
                ask(close)
            gc.collect()
            until = time.monotonic() + TIMEOUT
            while descriptors() > before + 5 and time.monotonic() < until:
                time.sleep(0.02)
            assert descriptors() <= before + 5

    def test_a_proxy_in_the_environment(self, protocol: str, port: int) -> None:
        """It is for the web, not for a flow."""
        program = "import sys; from twisted_flow import Client\nprint(Client(protocol=sys.argv[1], host='127.0.0.1', port=int(sys.argv[2])).post('/x', 'a', return_results=True)[0].docs[0].text)"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"), "http://127.0.0.1:1")
        assert run(program, protocol, str(port), **proxies) == "A"


class TestLoops:
    def test_another_reactor(self, protocol: str, port: int) -> None:
        """Whichever reactor the program has chosen."""
        program = "import sys; from twisted.internet import reactor; from twisted_flow import Client\nclient = Client(protocol=sys.argv[1], port=int(sys.argv[2]))\nfor _ in range(3): print(client.post('/x', ['a', 'b'], request_size=1, return_results=True)[0].docs[0].text.lower() in 'ab')"
        assert run(program, protocol, str(port)).split() == ["True"] * 3

    def test_the_programs_loop(self, protocol: str, port: int) -> None:
        """Whatever loop the program has set, or none, it has after a call."""
        program = (
            "import asyncio, sys, warnings; from twisted_flow import Client\n"
            "mine = asyncio.new_event_loop()\n"
            "if sys.argv[3]: asyncio.set_event_loop(mine)\n"
            "def current():\n"
            "    warnings.simplefilter('ignore')\n"
            "    try: return asyncio.get_event_loop()\n"
            "    except RuntimeError: return None\n"
            "Client(protocol=sys.argv[1], port=int(sys.argv[2])).post('/x', 'a')\n"
            "found = current()\n"
            "print(found is mine, found is not None and found.is_running())\n"
            "mine.close()\n"
        )
        assert run(program, protocol, str(port), "yes") == "True False"
        assert run(program, protocol, str(port), "") == "False False"

    @pytest.mark.parametrize("reactor", ["select", "asyncio"])
    def test_twisted_coroutines(self, protocol: str, port: int, reactor: str) -> None:
        """An asynchronous client is awaited by Twisted's coroutines too, with a loop below the reactor or without."""
        program = (
            "import sys\n"
            "if sys.argv[3] == 'asyncio':\n"
            "    from twisted.internet import asyncioreactor; asyncioreactor.install()\n"
            "from twisted.internet import task; from twisted.internet.defer import ensureDeferred\n"
            "from twisted_flow import Client\n"
            "async def main(reactor):\n"
            "    async with Client(protocol=sys.argv[1], host='127.0.0.1', port=int(sys.argv[2]), asyncio=True) as client:\n"
            "        async for response in client.post('/x', ['a', 'b', 'c'], request_size=1):\n"
            "            print(response.docs[0].text)\n"
            "task.react(lambda reactor: ensureDeferred(main(reactor)))\n"
        )
        assert sorted(run(program, protocol, str(port), reactor).split()) == ["A", "B", "C"]

    def test_what_to_use_in_a_reactor(self, flows: dict[str, int]) -> None:
        """In the reactor's own thread a flow, or a client, that waits is told what to use."""
        program = (
            "import sys; from twisted.internet import reactor; from twisted_flow import Client, Flow\n"
            "def try_it():\n"
            "    for ask in (Flow(protocol='http').start, lambda: Client(protocol='http', port=1).post('/x')):\n"
            "        try: ask()\n"
            "        except RuntimeError as wrong: print(wrong)\n"
            "    reactor.stop()\n"
            "reactor.callWhenRunning(try_it); reactor.run()\n"
        )
        told = run(program).splitlines()
        assert len(told) == 2
        assert all("IService(flow)" in line and "asyncio=True" in line for line in told)

    def test_no_coroutine_at_all(self, flows: dict[str, int]) -> None:
        """Who drives an asynchronous client by hand is told so."""
        responses = Client(protocol="http", port=flows["http"], asyncio=True).post("/x", "a")
        with pytest.raises(RuntimeError, match="coroutines"):
            responses.__anext__().send(None)


def test_nothing_on_standard_error(tmp_path: pathlib.Path) -> None:
    """A server that goes away is an exception, and nothing is written about it."""
    program = (
        "import sys; from twisted_flow import Client\nfrom twisted_flow.errors import FlowError\n"
        "client = Client(protocol='websocket', host='127.0.0.1', port=int(sys.argv[1]))\n"
        "client.post('/x', 'a')\nprint('asked', flush=True)\nsys.stdin.readline()\n"
        "try: client.post('/x', 'a', timeout=1)\nexcept FlowError: print('told')\n"
    )
    with serving("--protocol=websocket", cwd=tmp_path) as server:
        with subprocess.Popen(
            [sys.executable, "-c", program, str(server.port)],  # type: ignore[attr-defined]
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "asked\n"
            server.process.kill()
            server.process.wait(TIMEOUT)
            said, written = process.communicate("\n", timeout=TIMEOUT)
    assert said == "told\n"
    assert [line for line in written.splitlines() if not line.startswith("connected to")] == []


def test_errors_are_flow_errors() -> None:
    """All that is told to ``on_error`` is of one tree."""
    assert issubclass(DeadlineExceeded, FlowError)
    assert issubclass(Unavailable, FlowError)
    assert Document
