"""The stacks of all threads and tasks, written to the log."""

from __future__ import annotations

import sys
import threading
import traceback

from twisted.logger import Logger

from ..loop import tasks

__all__ = ["dump_stacks"]

log = Logger()

_MOST_FRAMES = 50


def dump_stacks() -> None:
    """Write the stacks of all threads and tasks to the log."""
    log.warn("SIGUSR1: what runs now\n{stacks}", stacks=_stacks())


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, frame in sys._current_frames().items():
        lines += [f"thread {names.get(ident, ident)}:\n", *traceback.format_stack(frame)[-_MOST_FRAMES:]]
    for task in tasks():
        lines.append(f"task {task.get_name()}:\n")
        waiting = task.get_coro()
        while (inner := getattr(waiting, "cr_frame", None)) is not None:
            lines += traceback.format_stack(inner, 1)
            waiting = waiting.cr_await
    return "".join(lines)
