"""``twistd flow`` as a process: what it serves, how it stops, and what it says when something is wrong."""

from __future__ import annotations

import configparser
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import websockets.sync.client
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.grpc_calls import call, proto
from tests.support import HELLO, TIMEOUT, Server, connect, free_port, post, replies, serving
from twisted_flow.tap import Options

TWISTD = pathlib.Path(sys.executable).with_name("twistd")
EXECUTORS = """
import asyncio, threading, time
from twisted_flow import Executor, requests

class Upper(Executor):
    @requests
    async def upper(self, docs, **kwargs):
        for doc in docs:
            doc.text = (doc.text or "").upper()

class Mark(Executor):
    @requests(on="/mark")
    def mark(self, docs):
        for doc in docs:
            doc.text += "!"

class Slow(Executor):
    def __init__(self):
        self.gate = threading.Event()

    @requests(on="/wait")
    def wait(self, docs):
        print("waiting", flush=True)
        self.gate.wait(20)
        time.sleep(0.2)

    @requests(on="/open")
    async def open(self, docs):
        self.gate.set()

    @requests(on="/sleep")
    async def sleep(self, docs):
        print("sleeping", flush=True)
        try:
            await asyncio.sleep(20)
        finally:
            print("slept", flush=True)

    @requests(on="/soon")
    async def soon(self, docs):
        print("soon", flush=True)
        await asyncio.sleep(0.5)

class Broken(Executor):
    def __init__(self):
        raise ValueError("no model here")

    @requests
    def f(self): pass
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "mine.py").write_text(EXECUTORS)
    return tmp_path


def ask(port: int, path: str, body: Any = None, **fields: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json", **fields}
    )
    with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
        return json.load(answer)


class TestServing:
    def test_no_executor(self, folder: pathlib.Path) -> None:
        """Documents come back as they are: the seed's request has the seed's answer."""
        with serving("--protocol=http", cwd=folder) as server:
            answer = ask(server.port, "/post", {"data": [{"text": "hello world"}], "execEndpoint": "/index"})  # type: ignore[attr-defined]
        assert answer["data"]["docs"][0]["text"] == "hello world"
        assert answer["data"]["docs"][0]["tags"] == answer["parameters"] == {}
        assert [route["pod"] for route in answer["routes"]] == ["gateway"]

    def test_chain(self, folder: pathlib.Path) -> None:
        """``--uses`` again and again is a chain, by file or module."""
        with serving("--uses=mine.py:Upper", "--uses=mine:Mark", "--expose-endpoint=/mark", cwd=folder) as server:
            answer = ask(server.port, "/mark", {"data": ["a"]})  # type: ignore[attr-defined]
        assert answer["data"]["docs"][0]["text"] == "A!"
        assert [route["pod"] for route in answer["routes"]] == ["gateway", "executor0", "executor1"]

    def test_options(self, folder: pathlib.Path) -> None:
        """Titles show, endpoints hide, bodies are bounded, other origins may ask."""
        options = ["--title=Mine", "--description=All mine", "--no-crud-endpoints", "--max-body=1000", "--cors"]
        with serving(*options, cwd=folder) as server:
            port = server.port  # type: ignore[attr-defined]
            info = ask(port, "/openapi.json")["info"]
            assert (info["title"], info["description"]) == ("Mine", "All mine")
            for path, size, status in (("/index", 1, 404), ("/post", 2000, 413)):
                with pytest.raises(urllib.error.HTTPError) as wrong:
                    ask(port, path, {"data": "x" * size, "execEndpoint": "/"})
                assert wrong.value.code == status
                assert wrong.value.headers["Content-Type"] == "application/problem+json"
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/status", headers={"Origin": "https://a.example"})
            with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == "*"

    def test_no_debug_endpoints(self, folder: pathlib.Path) -> None:
        """Neither ``/status`` nor ``/post``, and no cross-origin by default."""
        with serving("--no-debug-endpoints", cwd=folder) as server:
            port = server.port  # type: ignore[attr-defined]
            for path in ("/status", "/post"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    ask(port, path)
            with pytest.raises(urllib.error.HTTPError, match="403"):
                ask(port, "/index", {"data": ["a"]}, Origin="https://a.example")
            assert ask(port, "/index", {"data": ["a"]})["status"]["code"] == 0

    def test_blocking_method_delays_nobody(self, folder: pathlib.Path) -> None:
        """While a ``def`` method waits, ``/status`` and other endpoints are answered: it waits for one of them."""
        with serving("--uses=mine.py:Slow", "--expose-endpoint=/wait", "--expose-endpoint=/open", cwd=folder) as server:
            with connect(server.port) as waiting:  # type: ignore[attr-defined]
                waiting.sendall(post("/wait", {"data": ["a"]}))
                server.wait_for_line("waiting")
                assert ask(server.port, "/status")["ready"] is True  # type: ignore[attr-defined]
                ask(server.port, "/open", {"data": []})  # type: ignore[attr-defined]
                assert b"200 OK" in waiting.recv(1000)

    def test_client_that_goes_cancels(self, folder: pathlib.Path) -> None:
        """Nothing runs for a client that is gone."""
        with serving("--uses=mine.py:Slow", "--expose-endpoint=/sleep", cwd=folder) as server:
            with connect(server.port) as client:  # type: ignore[attr-defined]
                client.sendall(post("/sleep", {"data": ["a"]}))
                server.wait_for_line("sleeping")
            server.wait_for_line("slept")
            server.wait_for_line("Cancelled")

    def test_memory_stays_flat(self, folder: pathlib.Path) -> None:
        """A client that pipelines 100 MB and reads nothing costs the server little."""
        with serving(cwd=folder) as server:
            statm = pathlib.Path(f"/proc/{server.process.pid}/statm")

            def resident() -> int:
                return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

            block = post("/post", {"data": ["x" * 50_000], "execEndpoint": "/"}) * 4
            with connect(server.port) as client:  # type: ignore[attr-defined]
                client.settimeout(2)
                before, sent = resident(), 0
                try:
                    while sent < 100_000_000:
                        sent += client.send(block)
                except TimeoutError:
                    pass  # the server reads no more: so it should be
                assert sent < 50_000_000
                assert ask(server.port, "/status")["ready"] is True  # type: ignore[attr-defined]
                assert resident() - before < 40_000_000


def wait_until_refused(server: Server) -> None:
    """Wait until it has begun to stop."""
    while True:
        try:
            connect(server.port).close()  # type: ignore[attr-defined]
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass  # it was not accepted any more


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_requests_in_flight_are_answered(self, folder: pathlib.Path, number: int) -> None:
        """SIGTERM and Ctrl-C: what was asked is answered, then the process ends."""
        with serving("--uses=mine.py:Slow", "--expose-endpoint=/soon", cwd=folder) as server:
            with connect(server.port) as client, connect(server.port) as idle:  # type: ignore[attr-defined]
                client.sendall(post("/soon", {"data": ["a"]}))
                server.wait_for_line("soon")
                server.process.send_signal(number)
                received = b""
                while chunk := client.recv(10_000):
                    received += chunk
                assert [reply.status for reply in replies(received)] == [200]
                assert idle.recv(10) == b""
            assert server.wait() in (0, -number)  # twistd ends by the signal that it was sent
            with pytest.raises(ConnectionRefusedError):
                connect(server.port)  # type: ignore[attr-defined]

    def test_told_twice(self, folder: pathlib.Path) -> None:
        """A second SIGTERM changes nothing: what was asked is answered."""
        with serving("--uses=mine.py:Slow", "--expose-endpoint=/soon", cwd=folder) as server:
            with connect(server.port) as client:  # type: ignore[attr-defined]
                client.sendall(post("/soon", {"data": ["a"]}))
                server.wait_for_line("soon")
                server.process.send_signal(signal.SIGINT)
                wait_until_refused(server)
                server.process.send_signal(signal.SIGTERM)
                received = b""
                while chunk := client.recv(10_000):
                    received += chunk
                assert [reply.status for reply in replies(received)] == [200]
            assert server.wait() in (0, -signal.SIGINT)
        assert not any("Traceback" in line for line in server.lines)

    def test_second_interrupt(self, folder: pathlib.Path) -> None:
        """Who presses Ctrl-C again does not want to wait for what was asked."""
        options = ["--uses=mine.py:Slow", "--expose-endpoint=/sleep", f"--drain-grace={2 * TIMEOUT}"]
        with serving(*options, cwd=folder) as server, connect(server.port) as client:  # type: ignore[attr-defined]
            client.sendall(post("/sleep", {"data": ["a"]}))
            server.wait_for_line("sleeping")
            server.process.send_signal(signal.SIGINT)
            wait_until_refused(server)
            server.process.send_signal(signal.SIGINT)
            assert server.wait() == -signal.SIGINT

    def test_grace(self, folder: pathlib.Path) -> None:
        """What takes longer than the grace is cut, and said so."""
        options = ["--uses=mine.py:Slow", "--expose-endpoint=/sleep", "--drain-grace=0.2"]
        with serving(*options, cwd=folder) as server:
            with connect(server.port) as client:  # type: ignore[attr-defined]
                client.sendall(post("/sleep", {"data": ["a"]}))
                server.wait_for_line("sleeping")
                server.stop()
                server.wait_for_line("1 connections were closed")

    def test_method_that_runs_on(self, folder: pathlib.Path) -> None:
        """A method that does not end does not keep the server from ending."""
        (folder / "forever.py").write_text(
            "import threading\nfrom twisted_flow import Executor, requests\n\n\nclass Forever(Executor):\n"
            "    @requests\n    def wait(self, docs):\n        print('waiting', flush=True)\n"
            "        threading.Event().wait()\n"
        )
        with serving("--uses=forever.py:Forever", "--drain-grace=0.2", cwd=folder) as server:
            with connect(server.port) as client:  # type: ignore[attr-defined]
                client.sendall(post("/post", {"data": ["a"], "execEndpoint": "/"}))
                server.wait_for_line("waiting")
                assert server.stop() in (0, -signal.SIGTERM)
                server.wait_for_line("executor executor0 did not close: TimeoutError: not finished within 1 s")


UNITS = pathlib.Path(__file__).parents[2] / "contrib" / "systemd"


class TestSystemd:
    @pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda path: path.name)
    def test_units(self, folder: pathlib.Path, unit: pathlib.Path) -> None:
        """What the units start is a command line that is understood; a socket belongs to the unit that needs it."""
        parsed = configparser.ConfigParser(strict=True, interpolation=None)
        parsed.optionxform = str  # type: ignore[assignment, method-assign]
        parsed.read(unit)
        assert parsed["Service"]["Type"] == "notify"
        before, _, after = parsed["Service"]["ExecStart"].partition(" flow ")
        assert before.endswith("/twistd -n --pidfile=")
        options = Options()
        options.parseOptions(after.replace("/opt/flow/executors.py:MyExecutor", f"{folder}/mine.py:Upper").split())
        needed = parsed["Unit"].get("Requires")
        assert ("--listen=systemd:" in after) == (needed is not None)
        if needed is not None:
            assert unit.with_suffix(".socket").name == needed
            assert "ListenStream" in (UNITS / needed).read_text()

    @pytest.mark.parametrize("abstract", [False, True])
    def test_notify(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
        """Systemd is told READY when the port listens and every executor is open, and STOPPING at the signal."""
        name = f"@flow-test-{os.getpid()}" if abstract else str(folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind("\0" + name[1:] if abstract else name)
            systemd.settimeout(TIMEOUT)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            server = Server("--host=127.0.0.1", "--uses=mine.py:Upper", cwd=folder)
            ready = systemd.recv(200)
            assert ready.startswith(b"READY=1\nSTATUS=executor0 ready (inline), 0 requests answered, 0 in flight, 0 ")
            port = server.wait_until_ready()
            assert ask(port, "/index", {"data": ["a"]})["status"]["code"] == 0
            server.process.terminate()
            assert systemd.recv(100) == b"STOPPING=1"
            server.wait()

    def test_not_ready(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A flow that cannot start is never READY."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(folder / "notify"))
            systemd.setblocking(False)
            monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
            assert Server("--uses=mine.py:Broken", cwd=folder).wait() == 1
            received = []
            while True:
                try:
                    received.append(systemd.recv(100))
                except BlockingIOError:
                    break
        assert b"READY=1" not in received


class TestHealth:
    EXECUTOR = """
import pathlib
from twisted_flow import Executor, requests

class Fragile(Executor):
    def warm_up(self):
        print("warming up", flush=True)

    @requests
    def f(self): pass

    def check_health(self):
        if pathlib.Path("ill").exists():
            raise RuntimeError("the model is gone")
"""

    def test_told(self, folder: pathlib.Path) -> None:
        """An executor that says that it is unhealthy is told by ``/status``, gRPC's health and the log, until it is well."""
        (folder / "fragile.py").write_text(self.EXECUTOR)
        options = ["--uses=fragile.py:Fragile", "--health-interval=0.05", "--protocol=http", "--protocol=grpc"]
        number = free_port()
        channel = grpc.insecure_channel(f"127.0.0.1:{number}")
        with serving(*options, "--port=0", f"--port={number}", cwd=folder) as server, channel:
            server.wait_for_line("warming up")
            assert ask(server.port, "/status")["ready"] is True  # type: ignore[attr-defined]
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            (folder / "ill").touch()
            server.wait_for_line("executor executor0 is unhealthy: RuntimeError: the model is gone")
            told = ask(server.port, "/status")  # type: ignore[attr-defined]
            assert (told["ready"], told["executors"]) == (False, {"executor0": "unhealthy"})
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            (folder / "ill").unlink()
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            server.wait_for_line("executor executor0 is healthy again")
            assert ask(server.port, "/status")["ready"] is True  # type: ignore[attr-defined]


class TestConfig:
    FLOW = """
jtype: Flow
with: {protocol: http, host: 127.0.0.1, title: Mine}
executors:
  - {name: upper, uses: "mine.py:Upper"}
  - {name: mark, uses: "mine.py:Mark"}
"""

    def test_served(self, folder: pathlib.Path) -> None:
        """A flow that a file describes; options win over what it says."""
        (folder / "flow.yml").write_text(self.FLOW)
        with serving("--config=flow.yml", "--title=Other", "--expose-endpoint=/mark", cwd=folder) as server:
            answer = ask(server.port, "/mark", {"data": ["a"]})  # type: ignore[attr-defined]
            assert answer["data"]["docs"][0]["text"] == "A!"
            assert ask(server.port, "/openapi.json")["info"]["title"] == "Other"  # type: ignore[attr-defined]

    def test_options_win(self, folder: pathlib.Path) -> None:
        """An option takes the place of what the file says, and of no more."""
        text = "with: {protocol: [http, grpc], port_expose: [1, 2], limits: {max_queue: 5, timeout: 9}}\n\n"
        (folder / "flow.yml").write_text(text)
        options = Options()
        options.parseOptions([f"--config={folder}/flow.yml", "--timeout=3", "--port=7", "--port=8"])
        limits = options["flow"].config.limits
        assert (limits.max_queue, limits.timeout) == (5, 3)
        assert options["flow"].ports == {"http": 7, "grpc": 8}
        options = Options()
        options.parseOptions([f"--config={folder}/flow.yml", "--listen=unix:x", "--port=8"])
        assert [(each.protocols, each.port) for each in options["flow"].config.listeners] == [
            (("http",), 0),
            (("grpc",), 8),
        ]

    def test_check(self, folder: pathlib.Path) -> None:
        """``--check`` tells what would be served, or what is wrong, and takes no port."""
        (folder / "flow.yml").write_text(self.FLOW)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            command = [TWISTD, "flow", "--config=flow.yml", f"--port={taken.getsockname()[1]}", "--check"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
            assert (done.stdout, done.returncode) == ("", 1)
            assert done.stderr.startswith("twistd flow: cannot listen on ")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
        said = ["upper (needs gateway): /default", "mark (needs upper): /mark", "flow can be served over http"]
        assert (done.stdout.splitlines(), done.stderr, done.returncode) == (said, "", 0)
        for old, new, wrong in (
            ("title", "titel", "twistd flow: flow.yml:3:41: there is no key 'titel'; did you mean 'title'?\n"),
            (":Mark", ":Mrk", "twistd flow: flow.yml:6:5: mine.py has no 'Mrk'; did you mean 'Mark'?\n"),
        ):
            (folder / "flow.yml").write_text(self.FLOW.replace(old, new))
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
            assert (done.stdout, done.returncode) == ("", 1)
            assert done.stderr.replace(f"{folder}/", "") == wrong


PASS_ON = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


class TestListen:
    @pytest.fixture
    def passed(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[socket.socket, pathlib.Path]]:
        """A socket that listens, as systemd has it, and a twistd that is started with it as systemd does."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            folder = tmp_path_factory.mktemp("systemd")
            script = folder / "twistd"
            start = f"exec {sys.executable} {folder}/pass_on.py {TWISTD}"
            script.write_text(f'#!/bin/bash\nexec 3<&{listening.fileno()}\n{start} "$@"\n')
            script.chmod(0o755)
            (folder / "pass_on.py").write_text(PASS_ON)
            listening.set_inheritable(True)
            yield listening, script

    def start(
        self, script: pathlib.Path, listening: socket.socket, *options: str, cwd: pathlib.Path, names: str = "flow"
    ) -> Server:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": names}
        return Server(*options, cwd=cwd, twistd=script, env=environment, pass_fds=(listening.fileno(),))

    @pytest.mark.parametrize("which", ["index=0", "name=flow"])
    def test_socket_activation(self, folder: pathlib.Path, passed: Any, which: str) -> None:
        """All protocols on a socket that systemd hands over; what came before the start is answered too."""
        listening, script = passed
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as early:
            early.sendall(post("/index", {"data": ["a"]}))
            protocols = [f"--protocol={name}" for name in ("http", "websocket", "grpc")]
            options = [f"--listen=systemd:domain=INET:{which}", *protocols]
            server = self.start(script, listening, *options, "--uses=mine.py:Upper", cwd=folder)
            try:
                server.wait_for_line(f"localhost:{port}")
                assert replies(early.recv(10_000))[0].status == 200
                assert ask(port, "/index", {"data": ["a"]})["data"]["docs"][0]["text"] == "A"
                with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/") as client:
                    client.send(json.dumps({"data": ["b"], "execEndpoint": "/index"}))
                    assert json.loads(client.recv(TIMEOUT))["data"]["docs"][0]["text"] == "B"
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    assert next(call(channel, [proto("/index", "c")])).data.docs[0].text == "C"
            finally:
                server.stop()
        assert listening.fileno() >= 0  # it is systemd's, and goes on listening for the next start
        with socket.create_connection(("127.0.0.1", port), TIMEOUT):
            pass

    def test_grpc_beside_it(self, folder: pathlib.Path, passed: Any) -> None:
        """With HTTP at an endpoint, the port is gRPC's."""
        listening, script = passed
        number = free_port()
        options = ["--listen=systemd:domain=INET:index=0", "--protocol=http", "--protocol=grpc", f"--port={number}"]
        server = self.start(script, listening, *options, "--uses=mine.py:Upper", cwd=folder)
        try:
            server.wait_for_line("ready and listening")
            assert ask(listening.getsockname()[1], "/index", {"data": ["a"]})["status"]["code"] == 0
            with grpc.insecure_channel(f"127.0.0.1:{number}") as channel:
                grpc.channel_ready_future(channel).result(TIMEOUT)
        finally:
            server.stop()

    def test_unix(self, folder: pathlib.Path) -> None:
        """Any endpoint string will do: a path, for a proxy on the same machine."""
        server = Server("--listen=unix:flow.socket", "--uses=mine.py:Upper", cwd=folder)
        try:
            server.wait_for_line("Local access:.*unix:flow.socket")
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(TIMEOUT)
                client.connect(str(folder / "flow.socket"))
                client.sendall(post("/index", {"data": ["a"]}))
                assert replies(client.recv(10_000))[0].status == 200
        finally:
            server.stop()
        assert not (folder / "flow.socket").exists()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--listen=systemd:domain=INET:index=0"], "systemd has handed over no such socket"),
            (["--listen=systemd:domain=INET:name=flow"], "systemd has handed over no such socket"),
            (["--listen=carrier:pigeon"], "cannot listen on carrier:pigeon: Unknown endpoint type: 'carrier'"),
            (["--listen=unix:x", "--protocol=grpc", "--grpc=grpcio"], "grpcio needs a port of its own"),
            (["--listen=unix:x", "--port=12345"], "give a port or an endpoint, not both"),
            (["--protocol=http", "--protocol=grpc", "--grpc=grpcio", "--port=1"], "grpcio needs a port of its own"),
            (["--protocol=grpc", "--grpc=fast"], "grpc='fast': it is lane or grpcio"),
            (["--listen=unix:/nowhere/x"], "/nowhere is no folder that can be written to"),
            (["--listen=unix:/nowhere/x:mode=600", "--check"], "/nowhere is no folder that can be written to"),
            (["--host=nowhere.invalid", "--check"], "cannot listen on nowhere.invalid:0"),
            (["--uses"], "option --uses requires argument"),
        ],
    )
    def test_mistakes(self, folder: pathlib.Path, options: list[str], said: str) -> None:
        """One line says what is wrong."""
        done = subprocess.run([TWISTD, "-n", "--pidfile=", "flow", *options], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)  # fmt: skip
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


class TestDaemon:
    def test_start_and_stop(self, folder: pathlib.Path) -> None:
        """In the background, with a pidfile and a logfile; SIGTERM ends it, and both say so."""
        pidfile, logfile = folder / "flow.pid", folder / "flow.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            TWISTD,
            f"--pidfile={pidfile}",
            f"--logfile={logfile}",
            "flow",
            f"--port={port}",
            "--uses=mine.py:Upper",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        pid = int(pidfile.read_text())
        try:
            wait_until(lambda: "ready and listening" in logfile.read_text())
            answer = ask(port, "/post", HELLO)
            assert answer["data"]["docs"][0]["text"] == "HELLO"
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists())
        assert not pidfile.exists()
        assert "Server Shut Down" in logfile.read_text()

    def test_cannot_start(self, folder: pathlib.Path) -> None:
        """An executor that cannot be made ends the daemon; one line of its log says why, and the pidfile is gone."""
        pidfile, logfile = folder / "flow.pid", folder / "flow.log"
        command = [TWISTD, f"--pidfile={pidfile}", f"--logfile={logfile}", "flow", "--uses=mine.py:Broken"]
        subprocess.run(command, cwd=folder, timeout=TIMEOUT)
        wait_until(lambda: "Server Shut Down" in logfile.read_text() and not pidfile.exists())
        lines = [line for line in logfile.read_text().splitlines() if "the flow cannot start: ValueError of" in line]
        assert len(lines) == 1
        assert "mine.py" in logfile.read_text()  # and where


def wait_until(true: Any) -> None:
    """Poll what another process does; it leaves no other sign."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        try:
            if true():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    raise AssertionError("it did not come true")


@pytest.fixture
def taken() -> Any:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        yield other.getsockname()[1]


MISTAKES = [
    (["--titel=x"], "there is no option --titel; did you mean 'title'?"),
    (["--protocol=htp"], "did you mean 'http'?"),
    (["--port=x"], "a port is a number"),
    (["--port=70000"], "a port is a number"),
    (["--port"], "--port requires argument"),
    (["mine.py:Upper"], "--uses=mine.py:Upper"),
    (["--max-body=-5"], "--max-body=-5"),
    (["--max-body=big"], "--max-body=big"),
    (["--uses=missing.py:Upper"], "there is no file"),
    (["--uses=mine.py:Uper"], "did you mean 'Upper'?"),
    (["--uses=broken.py:Upper"], "cannot be imported: ZeroDivisionError"),
    (["--uses=mine.py:Upper", "--expose-endpoint=x"], "begins with a slash"),
    (["--host=256.0.0.1"], "cannot listen on 256.0.0.1"),
    (["--port={taken}"], "cannot listen on 0.0.0.0:{taken}: Address already in use"),
]


@pytest.mark.parametrize("daemon", [False, True], ids=["foreground", "daemon"])
@pytest.mark.parametrize(("options", "line"), MISTAKES, ids=[" ".join(options) for options, _ in MISTAKES])
def test_mistake(folder: pathlib.Path, taken: int, options: list[str], line: str, daemon: bool) -> None:
    """One clear line, status 1, nothing left."""
    (folder / "broken.py").write_text("1 / 0\n")
    options = [option.format(taken=taken) for option in options]
    before = set(folder.iterdir())
    command = [TWISTD, *([] if daemon else ["-n"]), "--pidfile=x.pid", "--logfile=x.log", "flow", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 1
    assert done.stdout == ""
    assert line.format(taken=taken) in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} == before - {folder / "__pycache__"}


def test_cannot_start(folder: pathlib.Path) -> None:
    """An executor whose constructor raises: one line, status 1."""
    server = Server("--uses=mine.py:Broken", cwd=folder)
    assert server.wait() == 1
    said = "the flow cannot start: ValueError of executor 'executor0': no model here"
    assert len([line for line in server.lines if said in line]) == 1
    assert any("mine.py" in line for line in server.lines)  # and where


def test_help(folder: pathlib.Path) -> None:
    """``--help`` lists the options, limits and all."""
    done = subprocess.run([TWISTD, "flow", "--help"], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0
    for option in ("--protocol", "--uses", "--max-body", "--expose-endpoint", "--drain-grace", "--cors-origin"):
        assert option in done.stdout


@pytest.mark.parametrize("reactor", ["epoll", "asyncio"])
def test_other_reactor(folder: pathlib.Path, reactor: str) -> None:
    """HTTP works under a reactor that somebody else chose, coroutines included."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [TWISTD, "-n", "--pidfile=", f"--reactor={reactor}", "flow", f"--port={port}", "--uses=mine.py:Slow"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("ready and listening" in line for line in process.stdout)
            answer = ask(port, "/post", {"data": ["a"], "execEndpoint": "/soon"})
            assert answer["status"]["code"] == 0
        finally:
            process.terminate()
            process.wait(TIMEOUT)
