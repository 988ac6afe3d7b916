"""The access log's writing: together, in time, whole; and what becomes of it where that cannot be."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from twisted.internet.task import Clock

from tests.support import Log
from twisted_flow.security.guard import Caller
from twisted_flow.telemetry.access_log import AccessLog


def told(access: AccessLog, endpoint: str = "/x", **more: Any) -> None:
    access.write("http", more.get("caller"), endpoint, more.get("id", "r"), "", 1, "ok", 0.0015, 10)


def made(path: pathlib.Path, form: str = "text") -> tuple[AccessLog, Clock]:
    clock = Clock()
    return AccessLog(str(path), form, clock.callLater), clock


def test_lines_are_written_together_within_a_tenth_of_a_second(tmp_path: pathlib.Path) -> None:
    access, clock = made(tmp_path / "log")
    told(access)
    told(access, caller=Caller("127.0.0.1:1"))
    assert (tmp_path / "log").read_text() == ""
    clock.advance(0.1)
    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.split()[1:] == ["http", "-", "-", "/x", "r", "-", "1", "ok", "1.5", "10"]
    assert second.split()[2] == "127.0.0.1:1"


def test_many_do_not_wait(tmp_path: pathlib.Path) -> None:
    access, _ = made(tmp_path / "log")
    for _ in range(1000):
        told(access)
    assert len((tmp_path / "log").read_text().splitlines()) == 1000


def test_a_word_stays_one(tmp_path: pathlib.Path) -> None:
    """Whatever callers choose, also what no file can have."""
    for form in ("text", "json"):
        access, clock = made(tmp_path / form, form)
        for odd in ("a b", "a\nb", "\x1b[2J", "\udcff", "é", ""):
            told(access, odd, id=odd)
        clock.advance(1)
        lines = (tmp_path / form).read_text().splitlines()
        assert len(lines) >= 5
        assert form == "json" or all(len(line.split()) == 11 for line in lines)
        assert "\x1b" not in "".join(lines)


def test_a_pipe_that_nobody_reads(tmp_path: pathlib.Path) -> None:
    """It holds nobody up; a few lines are kept for later, and what is more is lost, which the log tells."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    access, clock = made(path)
    os.set_blocking(access._file.fileno(), False)
    for _ in range(3000):
        told(access)
    clock.advance(0.1)
    came = b""
    while len(came.splitlines()) < 3000:
        came += os.read(reader, 1 << 20)
        clock.advance(0.1)
    assert len(came.splitlines()) == 3000
    with Log() as lines:
        for _ in range(150_000):
            told(access)
        clock.advance(0.1)
    assert any("nobody reads" in line for line in lines)
    os.close(reader)
    with Log() as lines:
        told(access)
        clock.advance(0.1)
    assert any("lines are lost" in line for line in lines)
