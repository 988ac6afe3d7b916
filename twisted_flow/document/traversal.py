"""The documents at a path of letters: 'r' the root's, 'c' chunks, 'm' matches, 'cm' the chunks' matches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .array import DocumentArray

__all__ = ["traversed"]


def traversed(documents: DocumentArray, traversal_paths: str | Iterable[str]) -> Iterator[Iterator[DocumentArray]]:
    """For each of *traversal_paths* (one text has commas between them) the arrays that it reaches.

    :raises ValueError: when an array is taken, on a letter that is none of these.
    """
    paths = traversal_paths.split(",") if isinstance(traversal_paths, str) else traversal_paths
    return (_reached(documents, path) for path in paths)


def _reached(documents: DocumentArray, path: str) -> Iterator[DocumentArray]:
    if not path:
        yield documents
        return
    first, rest = path[0], path[1:]
    if first not in "rcm":
        raise ValueError(f"a path is made of r, c and m, not {first!r}")
    if first == "r":
        yield from _reached(documents, rest)
        return
    for document in documents:
        yield from _reached(document.chunks if first == "c" else document.matches, rest)
