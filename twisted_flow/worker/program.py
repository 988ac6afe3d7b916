"""The program that an executor's process runs: it makes the executor, and answers calls until its pipe ends.

``def`` methods run in the main thread, which reads the pipe by itself while it has nothing to do; while it is busy,
another thread looks at the pipe every 20 ms, so that cancels arrive. Where there are ``async def`` methods, an asyncio
loop in a thread of its own reads instead, and the main thread takes calls from a queue.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from functools import partial

from .worker import Worker

__all__ = ["main"]

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


_THE_SERVERS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
"""Signals that a terminal, or systemd, sends to all processes at once: the server acts on them, and ends this one."""


def _nothing(*_: object) -> None:
    """Handle a signal. (What is ignored would be ignored by programs that the executor starts, too.)"""


def _leave(descriptor: int) -> None:
    """In a process that the executor has forked: the pipe and the log are not its own."""
    with suppress(OSError):
        os.close(descriptor)
    logging.getLogger().handlers.clear()
    for number in _THE_SERVERS:
        signal.signal(number, signal.SIG_DFL)


def main(descriptor: int, parent: int) -> None:
    """Run until the pipe ends.

    :param descriptor: of our end of the pipe.
    :param parent: the process id of who started us.
    """
    for number in _THE_SERVERS:
        signal.signal(number, _nothing)
    os.register_at_fork(after_in_child=partial(_leave, descriptor))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
    faulthandler.enable()
    gc.set_threshold(20_000, 10, 10)
    with socket.socket(fileno=descriptor) as pipe:
        os.set_inheritable(descriptor, False)
        Worker(pipe).run()
