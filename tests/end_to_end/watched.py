"""What servers in processes of their own take, and how they come to something."""

from __future__ import annotations

import os
import pathlib
import time
from typing import Any

from tests.support import TIMEOUT


def memory(server: Any) -> list[float]:
    """In MiB, of each of its servers with the processes of its executors."""
    return [sum(map(resident, [pid, *children(pid)])) for pid in server.pids]


def children(pid: int) -> list[int]:
    return [int(each) for each in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident(pid: int) -> float:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def in_sockets(server: Any) -> float:
    """How many MiB its machine keeps on the way to, or from, the last of its servers: it grows buffers up to that."""
    most = [
        int(pathlib.Path(f"/proc/sys/net/ipv4/{which}").read_text().split()[2]) for which in ("tcp_rmem", "tcp_wmem")
    ]
    return len(server.pids) * sum(most) / 2**20


def until(condition: Any) -> None:
    due = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < due, "it never came true"
