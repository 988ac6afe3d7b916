"""The process that is there for one flow: its loop watched, and asked what it does."""

from __future__ import annotations

from typing import Any, cast

from twisted.logger import Logger

from .bridge import tasks
from .watch import LoopWatch, stacks

__all__ = ["dump_stacks", "watch_loop"]

log = Logger()


def _reactor() -> Any:
    from twisted.internet import reactor  # chosen by now

    return cast(Any, reactor)


def dump_stacks() -> None:
    """Write to the log what every thread and every task does."""
    log.warn("SIGUSR1: what runs now\n{stacks}", stacks=stacks(tasks))


def watch_loop() -> LoopWatch:
    """The watch of the reactor's loop, which has begun."""
    watch = LoopWatch(_reactor())
    watch.start()
    return watch
