"""Whose turn it is, where gRPC's threads and ours want the same core."""

from __future__ import annotations

import os
import pathlib
import threading
from typing import Any

import pytest

from tests.support import serving
from twisted_flow.gateway.grpc.threads import yielding

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux alone has such threads")


def policy_of_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
    thread.start()
    thread.join()
    return found[0]


def test_new_threads_yield() -> None:
    """Threads that are started meanwhile yield; who starts them does not, afterwards, nor do later ones."""
    with yielding():
        assert policy_of_new_thread() == os.SCHED_BATCH
    assert (os.sched_getscheduler(0), policy_of_new_thread()) == (os.SCHED_OTHER, os.SCHED_OTHER)


def test_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system forbids it, or does not know it, all stays as it is."""

    def forbid(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    with yielding():
        assert policy_of_new_thread() == os.SCHED_OTHER
    monkeypatch.delattr(os, "SCHED_BATCH")
    with yielding():
        assert policy_of_new_thread() == os.SCHED_OTHER


@pytest.mark.parametrize(("word", "yields"), [("async def", True), ("def", False)])
def test_server(tmp_path: pathlib.Path, word: str, yields: bool) -> None:
    """GRPC's threads yield to the one that answers; not where executors have threads, which would starve them."""
    source = (
        f"from twisted_flow import Executor, requests\nclass E(Executor):\n    @requests\n    {word} f(self): pass\n"
    )
    (tmp_path / "e.py").write_text(source)
    with serving("--protocol=grpc", "--grpc=grpcio", "--port=0", "--uses=e.py:E", cwd=tmp_path) as process:
        pid = process.process.pid
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        names = {int(task.name): (task / "comm").read_text().strip() for task in tasks}
        policies = {os.sched_getscheduler(task) for task, name in names.items() if name == "event_engine"}
        assert policies == {os.SCHED_BATCH if yields else os.SCHED_OTHER}
        assert os.sched_getscheduler(pid) == os.SCHED_OTHER
