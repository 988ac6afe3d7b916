"""What the log tells an operator: where a user's code failed, what it says itself, and as much on any terminal."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from tests.support import TIMEOUT, Server, serving

EXECUTOR = """
import logging, warnings
logging.basicConfig(level=logging.DEBUG, format="MINE %(message)s")
from twisted_flow import Executor, requests, Reject
log = logging.getLogger("mine")
log.info("at import")
class Bad(Executor):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        logging.basicConfig(force=True)
        log.info("made")
    @requests(on="/async")
    async def asynchronous(self, docs): self.inner()
    @requests(on="/sync")
    def sync(self, docs):
        try: self.inner()
        except ZeroDivisionError as wrong: raise ValueError("a\\nb \\x1b[31m") from wrong
    @requests(on="/deep")
    def deep(self, docs): self.recurse(200)
    @requests(on="/reject")
    def reject(self, docs): raise Reject("Conflict", "as it is")
    @requests(on="/say")
    def say(self, docs):
        log.info("said by logging"); log.debug("too little"); warnings.warn("said by warnings"); print("said by print")
    def inner(self): return 1 / 0
    def recurse(self, n): return self.recurse(n - 1) if n else self.inner()
class Worse(Executor):
    def __init__(self): raise RuntimeError("no model")
    @requests
    def f(self, docs): pass
class Cold(Executor):
    def warm_up(self): self.inner()
    def inner(self): raise RuntimeError("too cold")
    @requests
    def f(self, docs): pass
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "e.py").write_text(EXECUTOR)
    return tmp_path


def ask(port: int, endpoint: str) -> dict[str, Any]:
    body = json.dumps({"data": ["a"], "execEndpoint": endpoint}).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/post", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as reply:
            told: dict[str, Any] = json.load(reply)
    except urllib.error.HTTPError as wrong:
        told = json.load(wrong)
    return told


@pytest.mark.parametrize("debug", [False, True])
def test_what_a_method_raised(folder: pathlib.Path, debug: bool) -> None:
    """The log has its traceback under the request's id, and the caller only where the server says ``--debug``."""
    options = ["--debug"] if debug else []
    with serving("--protocol=http", "--uses=e.py:Bad", *options, cwd=folder) as server:
        port: int = server.port  # type: ignore[attr-defined]
        for endpoint, method, raised in (("/async", "asynchronous", "ZeroDivision"), ("/sync", "sync", "ValueError")):
            told = ask(port, endpoint)
            first = server.wait_for_line(f"request {told['instance']}: ExecutorError: .* raised {raised}").string
            server.wait_for_line(f"e.py.*, in {method}$")
            server.wait_for_line("e.py.*, in inner$")
            after = server.lines[server.lines.index(first) :]
            assert "twisted_flow/" not in after[2]  # the user's own frame comes first
            assert ("stacks" in told) is debug
            assert ("division by zero" in json.dumps(told)) is debug
        server.wait_for_line(r"ValueError: a b \\x1b\[31m")
        ask(port, "/deep")
        server.wait_for_line("in deep$")
        told = ask(port, "/reject")
        line = server.wait_for_line(f"request {told['instance']}: Conflict: as it is").string
        assert not server.lines[server.lines.index(line) + 1 :]
    assert sum("in recurse" in line for line in server.lines) <= 50


def test_the_same_again_and_again(folder: pathlib.Path) -> None:
    """More than ten times a minute one place is told in a line, with the count."""
    with serving("--protocol=http", "--uses=e.py:Bad", cwd=folder) as server:
        for _ in range(14):
            ask(server.port, "/async")  # type: ignore[attr-defined]
        server.wait_for_line(r"raised ZeroDivisionError.*e.py, line \d+; 14 times within a minute")
    assert sum("in inner" in line for line in server.lines) == 10


@pytest.mark.parametrize(("name", "place"), [("Worse", "in __init__"), ("Cold", "in inner")])
def test_what_cannot_start(folder: pathlib.Path, name: str, place: str) -> None:
    """The place in the user's code is told."""
    server = Server("--host=127.0.0.1", "--port=0", f"--uses=e.py:{name}", cwd=folder)
    server.wait_for_line("the flow cannot start: RuntimeError of executor")
    server.wait_for_line(f"e.py.*{place}")
    assert server.process.wait(TIMEOUT) == 1


SAID = ("at import", "made", "said by logging", "said by warnings", "said by print")


def test_what_executors_say(folder: pathlib.Path) -> None:
    """In the foreground it is in the log, once, however they have configured logging."""
    with serving("--protocol=http", "--uses=e.py:Bad", cwd=folder) as server:
        ask(server.port, "/say")  # type: ignore[attr-defined]
        for said in SAID:
            server.wait_for_line(said)
        for said in SAID:
            assert sum(said in line for line in server.lines) == 1
        assert not any("too little" in line or "MINE" in line for line in server.lines)


def test_what_a_daemons_executors_say(folder: pathlib.Path) -> None:
    """As a daemon it is in the logfile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    twistd = str(pathlib.Path(sys.executable).with_name("twistd"))
    logfile, pidfile = folder / "log", folder / "pid"
    subprocess.run(
        [twistd, f"--logfile={logfile}", f"--pidfile={pidfile}", "flow", "--host=127.0.0.1", f"--port={port}", "--uses=e.py:Bad"],
        cwd=folder, check=True, timeout=TIMEOUT,
    )  # fmt: skip
    try:
        import time

        until = time.monotonic() + TIMEOUT
        while (
            "ready and listening" not in (logfile.read_text() if logfile.exists() else "") and time.monotonic() < until
        ):
            time.sleep(0.05)
        ask(port, "/say")
        while not all(said in logfile.read_text() for said in SAID[1:]) and time.monotonic() < until:
            time.sleep(0.05)
        for said in SAID[1:]:
            assert said in logfile.read_text()
    finally:
        number = int(pidfile.read_text())
        os.kill(number, 15)
        while pidfile.exists():
            pass


def test_a_terminal_that_knows_few_letters(folder: pathlib.Path) -> None:
    """The banner is shown as far as it goes, and a flow that serves is not ended by it."""
    program = (
        "from twisted_flow import Flow\nwith Flow(protocol='http', host='127.0.0.1') as flow:\n"
        "    print(len(flow.post('/x', 'a', return_results=True)))\n"
    )
    for encoding in ("ascii", "cp1252"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            cwd=folder,
            env=environment,
            timeout=TIMEOUT,
            check=True,
        )
        assert b"Local access" in done.stdout
        assert done.stdout.splitlines()[-1] == b"1"
        server = Server("--host=127.0.0.1", "--port=0", cwd=folder, env=environment | {"PYTHONUNBUFFERED": "1"})
        server.wait_until_ready()
        server.process.terminate()
        server.wait()
        assert not any("Error" in line for line in server.lines)
