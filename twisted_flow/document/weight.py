"""How many bytes documents hold, roughly: for bounds, not for the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

__all__ = ["weight"]


def weight(documents: Iterable[Any]) -> int:
    """The bytes of the texts, buffers and dense arrays of *documents*, and of their chunks and matches."""
    total = 0
    for document in documents:
        if document._text:
            total += len(document._text)
        if document._buffer:
            total += len(document._buffer)
        if document._blob is not UNSET or document._embedding is not UNSET:
            for array in (document._blob, document._embedding):
                dense = getattr(array, "dense", None)
                if dense:
                    total += len(dense.buffer)
        if document._chunks:
            total += weight(document._chunks)
        if document._matches:
            total += weight(document._matches)
    return total
