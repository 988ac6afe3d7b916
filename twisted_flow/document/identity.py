"""Ids: 32 hexadecimal digits of 16 random bytes."""

from __future__ import annotations

import os

__all__ = ["new_id"]

_AT_ONCE = 64  # asking the system for the bytes of one id costs as much as decoding a document

_fresh: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh.clear)  # else both would give out the same ids


def new_id() -> str:
    """A fresh id, good for a document, a request or a process."""
    try:
        return _fresh.pop()
    except IndexError:
        first, *others = os.urandom(16 * _AT_ONCE).hex(" ", 16).split(" ")
        _fresh.extend(others)
        return first
