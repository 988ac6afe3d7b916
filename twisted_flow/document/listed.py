"""Documents with their arrays spelt as nested lists of numbers, as who cannot read bytes asks for them."""

from __future__ import annotations

import copy
from typing import Any, cast

from .array import DocumentArray
from .document import Document
from .ndarray import NdArray, expanded

__all__ = ["expanded_size", "with_lists"]


def expanded_size(documents: list[Document]) -> int:
    """How many numbers and lists the arrays of *documents* are when they are spelt as nested lists."""
    return sum(
        expanded(each._embedding) + expanded(each._blob) + expanded_size(each._chunks) + expanded_size(each._matches)
        for each in documents
    )


def with_lists(documents: list[Document]) -> DocumentArray:
    """*documents* with their arrays as nested lists; copies, so that who keeps the originals sees no change."""
    return DocumentArray(map(_with_list, documents))


def _with_list(document: Document) -> Document:
    twin = copy.copy(document)
    if isinstance(twin._embedding, NdArray):
        twin._embedding = _listed(document.embedding)
    if isinstance(twin._blob, NdArray):
        twin._blob = _listed(document.blob)
    twin._chunks, twin._matches = with_lists(twin._chunks), with_lists(twin._matches)
    return twin


def _listed(array: Any) -> list[Any]:
    return cast("list[Any]", (array.toarray() if hasattr(array, "toarray") else array).tolist())
