"""Ids: 32 hexadecimal digits of 16 random bytes."""

from __future__ import annotations

import os

__all__ = ["new_id"]


def new_id() -> str:
    """A fresh id, good for a document, a request or a process."""
    return os.urandom(16).hex()
