"""gRPC's own threads: they carry bytes, and need not take the core from the one thread that answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["yielding"]


@contextmanager
def yielding() -> Iterator[None]:
    """Threads that are started meanwhile, and those that they start, wait till a core is free or a slice is over.

    gRPC wakes three or four threads of its own for each message. Linux lets a thread that wakes run at once, in place
    of the one that is just answering: on one core a fifth of the time went into such switches. A thread under
    ``SCHED_BATCH`` (sched(7)) never does that. Elsewhere, and where it is forbidden, all stays as it is.
    """
    changed = False
    with suppress(AttributeError, OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            changed = True
    try:
        yield
    finally:
        if changed:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
