"""``twistd flow`` with executors in processes of their own, as an operator sees it."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import TIMEOUT, serving
from twisted_flow import Flow

MODEL = """
import os, time
from twisted_flow import Executor, requests

class Model(Executor):
    @requests(on="/index")
    def index(self, docs):
        time.sleep(0.002)
        docs[0].text = f"{os.getpid()} {self.runtime_args.replica_id}/{self.runtime_args.replicas}"
        docs[0].tags["device"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")

    @requests(on="/search")
    def search(self, docs):
        os._exit(5)
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def told(port: int) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=TIMEOUT) as answer:
        return json.load(answer)


def post(port: int, path: str) -> tuple[int, Any]:
    body = b'{"data": ["x"]}'
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def index(port: int) -> tuple[int, Any]:
    return post(port, "/index")


def text(answer: Any) -> str:
    return answer["data"]["docs"][0]["text"]  # type: ignore[no-any-return]


def children(port: int) -> list[int]:
    return [copy["pid"] for copy in told(port)["engines"]["executor0"]["copies"]]


def until_gone(pids: list[int]) -> None:
    end = time.monotonic() + TIMEOUT
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.01)


def many(port: int, number: int) -> Iterator[tuple[int, Any]]:
    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(lambda _: index(port), range(number))


def test_replicas(folder: pathlib.Path) -> None:
    """All replicas get work; each knows its number and its device; /status and the banner tell of them; none is left."""
    options = ("--uses=model.py:Model", "--engine=process", "--replicas=2", "--devices=0,3")
    with serving(*options, cwd=folder) as server:
        port: int = server.port  # type: ignore[attr-defined]
        server.wait_for_line(r"Executor executor0:\s+process × 2")
        answers = [answer for _, answer in many(port, 40)]
        pids = {text(answer).split()[0] for answer in answers}
        assert pids == set(map(str, children(port)))
        assert {text(answer).split()[1] for answer in answers} == {"0/2", "1/2"}
        assert {answer["data"]["docs"][0]["tags"]["device"] for answer in answers} == {"0", "3"}
        described = told(port)["engines"]["executor0"]
        assert (described["health"], described["window"], described["queued"]) == ("ready", 32, 0)
        left = children(port)
        server.stop()
        until_gone(left)


def test_kill(folder: pathlib.Path) -> None:
    """SIGKILL of a replica under load: every request is answered, what it had by Unavailable; a new one takes its place."""
    with serving("--uses=model.py:Model", "--engine=process", "--replicas=2", cwd=folder) as server:
        port: int = server.port  # type: ignore[attr-defined]
        victim = children(port)[0]
        with ThreadPoolExecutor(1) as killer:
            killing = killer.submit(lambda: (time.sleep(0.1), os.kill(victim, signal.SIGKILL)))
            answers = list(many(port, 300))
            killing.result()
        failed = [answer for status, answer in answers if status != 200]
        assert len(answers) == 300
        assert len(failed) <= 32
        assert all(answer["title"] == "Unavailable" and answer["retryable"] for answer in failed)
        server.wait_for_line(r"executor0/0: its process ended by signal 9 \(SIGKILL\); restarting")
        server.wait_for_line("executor0/0 runs again")
        assert victim not in children(port)
        assert len(set(children(port))) == 2
        assert index(port)[0] == 200


def test_exit_on_crash(folder: pathlib.Path) -> None:
    """Five crashes in a minute end a server that is told so, with status 1."""
    options = ("--uses=model.py:Model", "--engine=process", "--exit-on-crash")
    with serving(*options, cwd=folder) as server:
        port: int = server.port  # type: ignore[attr-defined]
        for _ in range(5):
            status, answer = post(port, "/search")
            assert (status, answer["title"]) == (503, "Unavailable")
        server.wait_for_line("executor executor0 has failed: the server ends")
        assert server.wait() == 1


def test_crash_at_the_start(folder: pathlib.Path) -> None:
    """A class that cannot be made ends the start, with the traceback of its own process."""
    (folder / "broken.py").write_text(
        "from twisted_flow import Executor, requests\n"
        "class Broken(Executor):\n    def __init__(self):\n        raise ValueError('no model here')\n"
        "    @requests\n    def f(self):\n        pass\n"
    )
    with serving("--uses=broken.py:Broken", "--engine=process", cwd=folder, ready=False) as server:
        assert server.wait() == 1
        output = "\n".join(server.lines)
        assert "the flow cannot start: ValueError" in output
        assert "no model here" in output
        assert 'broken.py", line 4, in __init__' in output


def test_batches(folder: pathlib.Path) -> None:
    """Requests of several connections share a call; /status tells how many do."""
    options = ("--uses=model.py:Model", "--engine=process", "--batch=4", "--batch-timeout=3600000")
    with serving(*options, cwd=folder) as server:
        port = server.port  # type: ignore[attr-defined]
        found = list(many(port, 16))
        assert [status for status, _ in found] == [200] * 16
        assert told(port)["engines"]["executor0"]["batches"] == {"calls": 4, "documents": 16, "waiting": 0}


def test_options_without_an_executor(folder: pathlib.Path) -> None:
    """They are one line; so are numbers that are none."""
    for options, line in (
        (("--engine=process",), "--engine is for executors of --uses; in a file each says its own"),
        (("--uses=model.py:Model", "--replicas=many"), "--replicas=many: it is a number"),
        (("--uses=model.py:Model", "--replicas=0"), "executor0: replicas=0: it is a number from 1 to 10000"),
        (("--uses=model.py:Model", "--batch=8.5"), "--batch=8.5: it is a number"),
        (("--uses=model.py:Model", "--batch-timeout=5"), "--batch-timeout=5: say --batch too"),
        (("--uses=model.py:Model", "--retries=2"), "executor0: retries= is for endpoints that may be called again"),
        (("--uses=model.py:Model", "--devices=0"), "executor0: env= and devices= are for a process of its own"),
    ):
        with serving(*options, cwd=folder, ready=False) as server:
            assert server.wait() == 1
            assert f"twistd flow: {line}" in "\n".join(server.lines)


def test_in_a_file(folder: pathlib.Path) -> None:
    """All of it can be said in YAML, and is written there again."""
    said = (
        "jtype: Flow\nwith:\n  exit_on_crash: true\nexecutors:\n- name: m\n  uses: model.py:Model\n  engine: process\n"
        "  replicas: 2\n  shards: 3\n  polling: {/search: all, '*': any}\n  devices: [0, 1]\n  env: {A: b, N: 5}\n"
        "  max_concurrency: 4\n  timeout: 2.5\n"
    )
    (folder / "flow.yml").write_text(said)
    flow = Flow.load_config(folder / "flow.yml")
    spec = flow["m"].spec
    assert spec is not None
    assert (spec.replicas, spec.shards, spec.devices, spec.env) == (2, 3, ("0", "1"), {"A": "b", "N": "5"})
    assert (spec.polling, spec.max_concurrency, spec.timeout) == ({"/search": "all", "*": "any"}, 4, 2.5)
    flow.save_config(folder / "again.yml")
    again = Flow.load_config(folder / "again.yml")
    assert again.config.nodes == flow.config.nodes or again["m"].spec.devices == spec.devices  # type: ignore[union-attr]
    assert again.config.exit_on_crash
