"""Test doubles and helpers: dispatchers of five lines, an in-memory transport, a server as a process."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from zope.interface import implementer

from twisted_flow.answer import Entry, Gateway
from twisted_flow.document import Document, DocumentArray
from twisted_flow.errors import FlowError
from twisted_flow.executor.table import Endpoint
from twisted_flow.gateway.buffered import Buffered
from twisted_flow.gateway.http.app import App
from twisted_flow.gateway.http.gateway import HTTPFactory
from twisted_flow.gateway.http.plain_heads import PlainHeads
from twisted_flow.gateway.http.problem import write_problem
from twisted_flow.gateway.http.routes import HTTPSettings, flow_routes
from twisted_flow.gateway.port import Port
from twisted_flow.gateway.served import Served
from twisted_flow.interfaces import IExecutor
from twisted_flow.limits import Limits
from twisted_flow.loop import run_in_reactor
from twisted_flow.message import Header, Request, Response
from twisted_flow.readiness import Readiness
from twisted_flow.security.guard import Guard
from twisted_flow.testing import Answering as Dispatcher
from twisted_flow.testing import MemoryAddress
from twisted_flow.testing import MemoryConnection as Wire

TIMEOUT = 30.0
ROOT = pathlib.Path(__file__).resolve().parent.parent


def request(*docs: Any, endpoint: str = "/", target: str = "", **fields: Any) -> Request:
    """A request with *docs*."""
    return Request(
        **{
            "request_id": "r1",
            "header": Header(endpoint, target),
            "docs": DocumentArray(docs),
            "groundtruths": DocumentArray(),
            "parameters": {},
            **fields,
        }
    )


def entry(write_error: Any = write_problem, *, limits: Limits | None = None, debug: bool = False, **said: Any) -> Entry:
    """Where a request comes in."""
    gateway = Gateway(id="g", protocol="http", limits=limits or Limits(), debug=debug)
    return Entry(gateway=gateway, write_error=write_error, **said)


class Held(Dispatcher):
    """Answers nothing until told."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Deferred[Response]] = []
        self.cancelled = 0

    def dispatch(self, request: Request) -> Deferred[Response]:
        self.requests.append(request)
        self.held.append(Deferred(self._cancel))
        return self.held[-1]

    def _cancel(self, _: Any) -> None:
        self.cancelled += 1

    def release(self, position: int = 0) -> None:
        """Answer request *position* of those that came."""
        request = self.requests[position]
        self.held[position].callback(Response(request, request.docs, request.groundtruths, []))

    def fail(self, error: FlowError, position: int = 0) -> None:
        """Fail it."""
        self.held[position].errback(error)


def asking(dispatcher: Any, request: Request) -> Deferred[Response]:
    """What *dispatcher* answers, as a Deferred, whether or not it was there at once."""
    return maybeDeferred(dispatcher.dispatch, request)


@implementer(IExecutor)
class Own:
    """An executor that is no class of ours: it provides the interface by itself."""

    name = "own"
    endpoints = {"/default": Endpoint("/default", "f", ("docs",), blocking=False)}

    def open(self) -> dict[str, Any]:
        return {"/default": lambda asked, context: [Document("own")]}

    def warm_up(self) -> None:
        pass

    def check_health(self) -> None:
        pass

    def close(self) -> None:
        pass


class HTTP:
    """An HTTP gateway in memory.

    :param dispatcher: what answers.
    :param lane: whether there is a lane, or Klein alone.
    :param guard: what authenticates callers.
    """

    def __init__(self, dispatcher: Any = None, *, lane: bool = True, guard: Any = None, **settings: Any) -> None:
        self.clock = Clock()
        self.settings = HTTPSettings(**settings)
        self.dispatcher = dispatcher or Dispatcher()
        routes = flow_routes(self.settings, {})
        self.readiness = Readiness()
        limits, self.listening = self.settings.limits, MemoryAddress(self.clock)
        served: Any = {
            "dispatcher": self.dispatcher,
            "address": self.listening,
            "limits": limits,
            "clock": self.clock,
            "debug": self.settings.debug,
            "readiness": self.readiness,
            "guard": guard and Guard(guard, self.clock),
        }
        self.port = port = Port("http", Served(buffered=Buffered(limits.max_buffered), **served))
        self.connections = port.connections
        self.app = App(
            self.dispatcher,
            self.settings,
            routes,
            lambda: b'{"jina":{},"envs":{},"used_memory":""}',
            b"{}",
            port.gateway,
            self.readiness,
        )
        self.factory = HTTPFactory(self.app, self.settings, self.connections)
        if not lane:
            self.factory.heads = PlainHeads({}, self.settings.limits, self.settings.allowed_hosts)
        port.factory = self.factory
        port.startService()

    def connect(self) -> Wire:
        """A new connection."""
        return self.listening.connect()

    def send(self, *parts: bytes) -> list[Reply]:
        """The replies to *parts*, sent one after another over one connection."""
        wire = self.connect()
        for part in parts:
            wire.receive(part)
        return replies(wire.value())

    def pass_seconds(self, seconds: int) -> None:
        """Let *seconds* go by."""
        for _ in range(seconds):
            self.clock.advance(1)


class Reply:
    """One HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def replies(raw: bytes, head_request: bool = False) -> list[Reply]:
    """The answers in *raw*, which holds nothing else."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        status = int(line.split(" ")[1])
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size, _, raw = raw.partition(b"\r\n")
                body, raw = body + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
                if size == b"0":
                    break
        else:
            empty = head_request or status < 200 or status in (204, 304)
            length = 0 if empty else int(headers["content-length"])
            assert len(raw) >= length
            body, raw = raw[:length], raw[length:]
        found.append(Reply(status, headers, body))
    return found


def post(path: str = "/post", body: bytes | dict[str, Any] = b"", *fields: str, method: str = "POST") -> bytes:
    """The bytes of a plain request."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: flow.invalid", "Content-Type: application/json", *fields]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


HELLO = {"data": [{"id": "a", "text": "hello"}], "execEndpoint": "/index"}


def wait_for(function: Callable[[], Any]) -> Any:
    """Call *function* on the reactor, and wait for its Deferred."""
    return run_in_reactor(function)


class Server:
    """``twistd flow``, as a process. Its output is read as it comes."""

    started: ClassVar[list[Server]] = []
    """All of them: a test that fails leaves none running (see conftest)."""

    def __init__(self, *options: str, cwd: pathlib.Path, twistd: pathlib.Path | None = None, **process: Any) -> None:
        twistd = twistd or pathlib.Path(sys.executable).with_name("twistd")
        self.process = subprocess.Popen(
            [str(twistd), "-n", "--pidfile=", "flow", *options],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **{"env": {**os.environ, "PYTHONUNBUFFERED": "1"}, **process},
        )
        self.started.append(self)
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.lines.append("(the end)")
            self._changed.notify_all()

    def wait_for_line(self, pattern: str, begin: int = 0) -> re.Match[str]:
        """Wait until a line of its output matches."""

        def found() -> re.Match[str] | None:
            return next((m for line in self.lines[begin:] if (m := re.search(pattern, line))), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or "(the end)" in self.lines, TIMEOUT)
        match = found()
        assert match is not None, f"no line matches {pattern!r} in:\n" + "\n".join(self.lines)
        return match

    def wait_until_ready(self) -> int:
        """The port, once it listens."""
        return int(self.wait_for_line(r"Local access:\s*\S+:(\d+)")[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it: its status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end: its status."""
        status = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return status


@contextlib.contextmanager
def serving(*options: str, cwd: pathlib.Path, ready: bool = True) -> Iterator[Server]:
    """A server that is up, with its `port`; or one that need not come to that, where *ready* is False."""
    server = Server("--host=127.0.0.1", *options, cwd=cwd)
    try:
        if ready:
            server.port = server.wait_until_ready()  # type: ignore[attr-defined]
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.wait()


def browser(folder: pathlib.Path, *arguments: str) -> list[str]:
    """The command of a headless browser that reaches nothing but this machine."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium")
        pytest.skip("no chromium: apt-get install chromium")
    return [
        found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder}/browser", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", *arguments,
    ]  # fmt: skip


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def connect(port: int) -> socket.socket:
    """A connection to a server on this machine."""
    return socket.create_connection(("127.0.0.1", port), TIMEOUT)


class Log:
    """The lines that are logged meanwhile."""

    def __enter__(self) -> list[str]:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        return self.lines

    def observe(self, event: Any) -> None:
        from twisted.logger import formatEvent

        self.lines.append(f"{event['log_level'].name} {formatEvent(event)}")

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self.observe)


def result_of(maybe: Any) -> Any:
    """What *maybe* has come to."""
    found: list[Any] = []
    maybe.addBoth(found.append)
    assert found, "it has not come"
    return found[0]


def steps_of(function: Callable[[], Any]) -> int:
    """How many lines and calls of Python *function* takes."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        function()
    except FlowError:
        pass
    finally:
        sys.settrace(None)
    return count


def installed(example: pathlib.Path, folder: pathlib.Path) -> dict[str, str]:
    """An environment in which the package in *example* is installed, into *folder*."""
    shutil.copytree(example, folder / "source")
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, f"--target={target}", "./source"], cwd=folder, check=True, timeout=TIMEOUT * 6)
    return {**os.environ, "PYTHONPATH": str(target), "PYTHONUNBUFFERED": "1"}
