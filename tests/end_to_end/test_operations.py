"""A daemon as an operator sees it: health, a stop under load, configuration and where it comes from, systemd, pings."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from tests.certificates import Certificates
from tests.support import TIMEOUT, Server, connect, free_port, post, replies, serving
from twisted_flow import Client
from twisted_flow.errors import FlowError, Unavailable

EXECUTORS = """
import time
from twisted_flow import Executor, requests

class Work(Executor):
    @requests(on="/quick")
    async def quick(self, docs): pass

    @requests(on="/work")
    def work(self, docs): time.sleep(0.005)

    @requests(on="/long")
    def long(self, docs): time.sleep(1.5)

class Ill(Executor):
    well = True
    @requests(on="/fall")
    async def fall(self, docs): type(self).well = False
    async def check_health(self):
        if not self.well: raise ValueError("ill")
"""
ALL = ("--protocol=http", "--protocol=websocket", "--protocol=grpc")
TWISTD = str(pathlib.Path(sys.executable).with_name("twistd"))
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made = tmp_path_factory.mktemp("operations")
    (made / "work.py").write_text(EXECUTORS)
    return made


def twistd(*options: str, cwd: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TWISTD, "flow", *options],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, **environment},
    )


class TestHealth:
    def test_told_alike(self, folder: pathlib.Path) -> None:
        """HTTP, gRPC (Check of the server and each service, List, Watch), /status and --ping tell one state."""
        with serving(*ALL, "--uses=work.py:Ill", "--health-interval=0.2", cwd=folder) as server:
            port = server.port  # type: ignore[attr-defined]
            url = f"http://127.0.0.1:{port}"
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                watched = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=TIMEOUT)
                assert next(watched) == SERVING
                assert httpx.get(f"{url}/readyz").json() == {"status": "ok"}
                assert twistd(f"--ping={url}", cwd=folder).returncode == 0
                httpx.post(f"{url}/post", json={"data": ["x"], "execEndpoint": "/fall"})
                assert next(watched) == NOT_SERVING
                reply = httpx.get(f"{url}/readyz")
                assert reply.status_code == 503
                assert reply.json()["detail"] == "not ready: executor0 is unhealthy"
                for service in ("", "jina.JinaRPC", "twisted_flow.Flow"):
                    assert check(b"\x0a" + bytes([len(service)]) + service.encode()) == NOT_SERVING
                assert SERVING not in channel.unary_unary("/grpc.health.v1.Health/List")(b"")
                assert httpx.get(f"{url}/status").json()["ready"] is False
                for path in ("/livez", "/startupz"):
                    assert httpx.get(f"{url}{path}").status_code == 200
                said = twistd(f"--ping={url}", cwd=folder)
                assert said.returncode == 1
                assert "executor0 is unhealthy" in said.stderr
                watched.cancel()

    def test_they_stay_and_answer(self, folder: pathlib.Path) -> None:
        """When other routes are hidden, while all executors are busy, and without any."""
        options = ("--no-debug-endpoints", "--no-crud-endpoints", "--no-docs", "--expose-endpoint=/long")
        with serving("--protocol=http", "--uses=work.py:Work", *options, cwd=folder) as server:
            url = f"http://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
            busy = [
                threading.Thread(target=httpx.post, args=(f"{url}/long",), kwargs={"json": {"data": ["x"]}})
                for _ in "ab"
            ]
            for each in busy:
                each.start()
            for path in ("/livez", "/readyz", "/startupz"):
                assert httpx.get(f"{url}{path}", timeout=1).status_code == 200
            assert httpx.get(f"{url}/status").status_code == 404
            for each in busy:
                each.join()
        with serving("--protocol=grpc", cwd=folder) as server:
            assert httpx.get(f"http://127.0.0.1:{server.port}/readyz").status_code == 200  # type: ignore[attr-defined]

    def test_pings(self, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
        """Over TLS, with a certificate, over gRPC alone; and what is wrong in one line."""
        made = Certificates(tmp_path)
        with serving("--protocol=http", *made.options, cwd=folder) as server:
            assert twistd(f"--ping=https://127.0.0.1:{server.port}", cwd=folder).returncode == 0  # type: ignore[attr-defined]
        with serving("--protocol=grpc", "--grpc=grpcio", f"--port={free_port()}", cwd=folder) as server:
            assert twistd(f"--ping=grpc://127.0.0.1:{server.port}", cwd=folder).returncode == 0  # type: ignore[attr-defined]
        cert, key = made.client("ping")
        with serving("--protocol=http", *made.options, f"--tls-client-ca={made.ca}", cwd=folder) as server:
            url = f"--ping=https://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
            assert twistd(url, f"--tls-cert={cert}", f"--tls-key={key}", cwd=folder).returncode == 0
            assert twistd(url, cwd=folder).returncode == 1
        for wrong in (f"http://127.0.0.1:{free_port()}", "nonsense://x", "http://"):
            said = twistd(f"--ping={wrong}", cwd=folder)
            assert said.returncode == 1
            assert len(said.stderr.strip().splitlines()) == 1


class TestSystemd:
    @pytest.fixture
    def told(self, tmp_path: pathlib.Path) -> Iterator[Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(tmp_path / "notify"))
            listening.settimeout(TIMEOUT)
            yield lambda: listening.recv(4096).decode()

    def test_its_life(self, folder: pathlib.Path, tmp_path: pathlib.Path, told: Any) -> None:
        """READY with what serves, signs of life from the loop, RELOADING, STOPPING."""
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        server = Server("--protocol=http", "--host=127.0.0.1", "--uses=work.py:Work", cwd=folder, env=environment)
        ready = told()
        assert ready.startswith("READY=1\nSTATUS=")
        assert re.search(r"executor0 ready \(thread\), 0 requests answered, 0 in flight, 0 connections", ready)
        assert [told() for _ in range(2)] == ["WATCHDOG=1"] * 2
        server.process.send_signal(signal.SIGHUP)
        while "RELOADING=1" not in (said := told()):
            assert said == "WATCHDOG=1"
        assert re.search(r"MONOTONIC_USEC=\d+", said)
        while told() != "READY=1":
            pass
        server.process.terminate()
        while told() != "STOPPING=1":
            pass
        server.wait()

    def test_a_loop_that_hangs_gives_no_sign(self, tmp_path: pathlib.Path, told: Any) -> None:
        (tmp_path / "hang.py").write_text(
            "import time\nfrom twisted_flow import Executor, requests\nclass Hang(Executor):\n"
            "    @requests(on='/hang')\n    async def hang(self, docs): time.sleep(3)\n"
        )
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "500000"}
        server = Server("--protocol=http", "--host=127.0.0.1", "--uses=hang.py:Hang", cwd=tmp_path, env=environment)
        port = server.wait_until_ready()
        while told() != "WATCHDOG=1":
            pass
        with connect(port) as client:
            client.sendall(post("/post", {"data": ["x"], "execEndpoint": "/hang"}))
            quiet, since = 0.0, time.monotonic()
            while quiet < 2:
                assert told() == "WATCHDOG=1"
                quiet, since = time.monotonic() - since, time.monotonic()
        server.stop()


class Load:
    """A client that asks without end, and counts what became of it."""

    def __init__(self, protocol: str, port: int) -> None:
        self.protocol, self.port = protocol, port
        self.sent = self.answered = self.refused = self.lost = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        try:
            with Client(protocol=self.protocol, port=self.port) as client:
                while not self.lost:
                    self.sent += 1
                    try:
                        client.post("/work", ["a"])
                        self.answered += 1
                    except FlowError as error:
                        told = isinstance(error, Unavailable) and error.response is not None
                        self.refused += told
                        self.lost += not told
        except ConnectionError:
            self.lost += 1


class TestStop:
    @pytest.mark.parametrize("delay", ["0", "0.5"])
    def test_the_account_under_load(self, folder: pathlib.Path, delay: str) -> None:
        """Sent = answered + refused with a reason + closed before it was read, counted on both sides."""
        options = ("--uses=work.py:Work", f"--drain-delay={delay}", "--no-metrics")
        with serving(*ALL, *options, cwd=folder) as server:
            loads = [Load(protocol, server.port) for protocol in ("http", "websocket", "grpc") for _ in range(3)]  # type: ignore[attr-defined]
            while min(each.answered for each in loads) < 10:
                time.sleep(0.01)
            server.stop()
            for each in loads:
                each.thread.join(TIMEOUT)
            told = server.wait_for_line(
                r"stopped in [\d.]+ s: (\d+) requests answered, (\d+) of them cut .*, (\d+) refused; "
                r"since the start (\d+) answered, (\d+) refused"
            )
            answered, refused = int(told[4]), int(told[5])
            assert sum(each.sent for each in loads) == sum(each.answered + each.refused + each.lost for each in loads)
            assert sum(each.answered + each.refused for each in loads) == answered + refused
            assert int(told[2]) == 0
            assert not any("Traceback" in line for line in server.lines)

    def test_what_is_cut_is_told(self, folder: pathlib.Path) -> None:
        with serving("--protocol=http", "--uses=work.py:Work", "--drain-grace=0.2", cwd=folder) as server:
            with connect(server.port) as client:  # type: ignore[attr-defined]
                client.sendall(post("/post", {"data": ["x"], "execEndpoint": "/long"}))
                time.sleep(0.2)
                server.process.terminate()
                said = b""
                while more := client.recv(65536):
                    said += more
            (reply,) = replies(said)
            assert (reply.status, reply.json["title"]) == (503, "Unavailable")
            server.wait_for_line(r"stopped in .* s: 1 requests answered, 1 of them cut")

    def test_during_the_delay(self, folder: pathlib.Path) -> None:
        """It is not ready any more, and says so; new connections are taken still; answers end their connections."""
        with serving(*ALL, "--uses=work.py:Work", "--drain-delay=2", cwd=folder) as server:
            port = server.port  # type: ignore[attr-defined]
            url = f"http://127.0.0.1:{port}"
            with httpx.Client() as kept, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                assert "connection" not in kept.get(f"{url}/readyz").headers
                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                assert check(b"") == SERVING
                server.process.terminate()
                while httpx.get(f"{url}/readyz").status_code == 200:
                    pass
                assert httpx.get(f"{url}/readyz").json()["detail"] == "not ready: server is stopping"
                assert check(b"") == NOT_SERVING
                for headers in ({}, {"x-own": "1"}):
                    reply = httpx.post(f"{url}/search", json={"data": ["x"]}, headers=headers)
                    assert (reply.status_code, reply.headers["connection"].lower()) == (200, "close")
                assert kept.get(f"{url}/livez").headers["connection"] == "close"
            assert server.wait() in (0, -signal.SIGTERM)


class TestConfiguration:
    def test_file_environment_and_options(self, tmp_path: pathlib.Path) -> None:
        """In that order of growing strength; and each value's origin is told."""
        (tmp_path / "flow.yml").write_text(
            "jtype: Flow\nwith:\n  protocol: grpc\n  title: of the file\n  strict: true\n"
            "  limits: {max_body: 1, max_queue: 2, timeout: 3}\n"
        )
        environment = {
            "TWISTED_FLOW_TITLE": "of the environment",
            "TWISTED_FLOW_MAX_BODY": "10",
            "TWISTED_FLOW_MAX_QUEUE": "20",
        }
        done = twistd("--config=flow.yml", "--print-config", "--max-body=100", cwd=tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        told = dict(re.fullmatch(r"(\S+): (.*)", line).groups() for line in done.stdout.splitlines())  # type: ignore[union-attr]
        assert told["protocol"] == '"grpc"  # file flow.yml'
        assert told["title"] == '"of the environment"  # environment TWISTED_FLOW_TITLE'
        assert told["strict"] == "true  # file flow.yml"
        assert told["max_body"] == "100  # option"
        assert told["max_queue"] == "20  # environment TWISTED_FLOW_MAX_QUEUE"
        assert told["timeout"] == "3.0  # file flow.yml"
        assert told["drain_grace"] == "30.0  # default"

    def test_a_server_from_the_environment(self, folder: pathlib.Path) -> None:
        """Lists are separated by commas; what Kubernetes sets by itself is no option."""
        environment = {
            "TWISTED_FLOW_PROTOCOL": "http,websocket", "TWISTED_FLOW_USES": "work.py:Work", "TWISTED_FLOW_STRICT": "1",
            "TWISTED_FLOW_PORT": "tcp://10.0.0.1:80", "TWISTED_FLOW_SERVICE_HOST": "10.0.0.1",
            "TWISTED_FLOW_PORT_80_TCP": "tcp://10.0.0.1:80", "TWISTED_FLOW_HOST": "127.0.0.1",
        }  # fmt: skip
        server = Server(cwd=folder, env={**os.environ, **environment})
        port = server.wait_until_ready()
        assert httpx.get(f"http://127.0.0.1:{port}/status").json()["protocols"] == ["http", "websocket"]
        assert (
            httpx.post(f"http://127.0.0.1:{port}/post", json={"execEndpoint": "/none", "data": ["x"]}).status_code
            == 404
        )
        server.stop()

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("MAX_BODDY", "1", "there is no option --max-boddy; did you mean 'max-body'?"),
            ("STRICT", "perhaps", "TWISTED_FLOW_STRICT=perhaps: it is 1 or 0"),
            ("MAX_BODY", "x", "--max-body=x: "),
        ],
    )
    def test_mistakes(self, tmp_path: pathlib.Path, name: str, value: str, said: str) -> None:
        done = twistd("--print-config", cwd=tmp_path, **{f"TWISTED_FLOW_{name}": value})
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1

    def test_no_secret_is_printed(self, tmp_path: pathlib.Path) -> None:
        """What executors are given may be one."""
        (tmp_path / "work.py").write_text(EXECUTORS)
        (tmp_path / "flow.yml").write_text(
            "jtype: Flow\nexecutors:\n  - {name: work, uses: 'work.py:Work', engine: process, env: {KEY: hunter2}, uses_with: {}}\n"
        )
        done = twistd("--config=flow.yml", "--print-config", cwd=tmp_path)
        assert "executor work: " in done.stdout
        assert "hunter2" not in done.stdout + done.stderr
