"""Where Twisted and asyncio meet: the reactor's choice, coroutines as Deferreds, threads, and a reactor of one's own.

Of all other modules only `endpoint` knows both worlds.
"""

from .background import run_in_reactor
from .mailbox import Mailbox
from .reactor import asyncio_loop, install_reactor, when_running
from .tasks import Signal, crossing, sleep_a_turn, sleep_some_turns, spawn, tasks, to_future, wait_a_while
from .threads import from_thread, next_turn

__all__ = [
    "Mailbox",
    "Signal",
    "asyncio_loop",
    "crossing",
    "from_thread",
    "install_reactor",
    "next_turn",
    "run_in_reactor",
    "sleep_a_turn",
    "sleep_some_turns",
    "spawn",
    "tasks",
    "to_future",
    "wait_a_while",
    "when_running",
]
