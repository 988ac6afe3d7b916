"""Documents with their arrays as nested lists of numbers, for callers that cannot read bytes."""

from __future__ import annotations

import copy
from array import array as packed
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from msgspec import UNSET

from .array import DocumentArray
from .ndarray import MOST_SIDES, NdArray, handed_over, to_wire

if TYPE_CHECKING:
    from .document import Document

__all__ = ["expanded_size", "from_lists", "with_lists"]

_NULL = type(None)


def expanded_size(documents: list[Document]) -> int:
    """How many numbers and lists the arrays of *documents* are when they are spelt as nested lists."""
    return sum(
        _expanded(each._embedding) + _expanded(each._blob) + expanded_size(each._chunks) + expanded_size(each._matches)
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


def _listed(array: Any) -> list[object] | NdArray:
    """*array* as lists; one without any side, or of complex numbers, has no such form and stays as it travels."""
    array = array.toarray() if hasattr(array, "toarray") else array
    return handed_over(array) if not array.ndim or array.dtype.kind == "c" else cast("list[Any]", array.tolist())


def _expanded(array: object) -> int:
    """How many numbers and lists *array*, as it travels, would be if it were spelt as nested lists."""
    if type(array) is not NdArray:
        return 0
    shape = array.dense.shape if array.dense is not UNSET else array.sparse.shape if array.sparse is not UNSET else ()
    number, lists = 1, 0
    for side in shape:
        lists += number
        number *= side
    return number + lists


def from_lists(items: list[Any]) -> NdArray:
    """*items*, nested lists of numbers as JSON has them, in the form that travels.

    :raises ValueError: if they are something else, or make no array.
    """
    flat = _flat(items)
    if flat is not None:
        return handed_over(flat)
    level = [items]
    for _ in range(MOST_SIDES):
        if len({*map(len, level)}) > 1:
            raise ValueError("the lists are not all of one length")
        kinds = {*map(type, chain.from_iterable(level))}
        if kinds != {list}:
            break
        level = list(chain.from_iterable(level))
    if _NULL in kinds and kinds <= {int, float, bool, _NULL}:
        return handed_over(np.array(items, np.float64))  # NaNs, for which JSON has no word
    if not kinds <= {int, float, bool}:
        named = ", ".join(sorted({"null" if kind is _NULL else kind.__name__ for kind in kinds}))
        raise ValueError(f"not an array of plain numbers: there are {named} in it")
    return to_wire(items)


def _flat(items: list[Any]) -> object:
    """An ndarray of *items*, if they plainly are numbers, in a third of the time that numpy takes; else None."""
    kind = type(items[0]) if items else None
    if kind is not float and kind is not int:
        return None
    try:
        return np.frombuffer(packed("d" if kind is float else "q", items), np.float64 if kind is float else np.int64)
    except (TypeError, OverflowError):  # there is something else among them
        return None
