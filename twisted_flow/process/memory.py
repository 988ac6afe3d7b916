"""Settings of the garbage collector and the allocator for a process that serves."""

from __future__ import annotations

import gc

__all__ = ["prepare_to_serve"]

_GARBAGE = 20_000  # objects that may be made before the collector looks at them; with 700 it took 7 % of the time
_AT_HAND = 4 << 20  # bytes: blocks up to this size come from the heap, which keeps twice as much that is free


def prepare_to_serve() -> None:
    """Call this once, when all long-lived objects have been made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 20)
    # glibc takes each block of 128 KiB and more fresh from the system, page by page, until one has been given back:
    # from then on it takes that size for usual (mallopt(3), M_MMAP_THRESHOLD). Large arrays are read in a third of the
    # time.
    bytes(_AT_HAND)
