"""What makes a document that has just been decoded whole: its id, its numbers, and the rules no decoder knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from ..errors import ValidationError
from . import ndarray
from .identity import new_id
from .numbers import settle

if TYPE_CHECKING:
    from .document import Document, Graph

__all__ = ["MAX_DEPTH", "complete", "complete_one"]

MAX_DEPTH = 32
"""Levels of nested documents, and of nested tags, unless told otherwise."""


_ALL_BUT_ONE = 4  # of the five contents


def complete(
    documents: Sequence[Document],
    pointer: str,
    max_depth: int = MAX_DEPTH,
    level: int = 1,
    different: Sequence[Document] | None = None,
) -> None:
    """Fill in the ids, settle the numbers in tags, make arrays of lists, and hold each document to the rules.

    :param pointer: where *documents* stand in the message (a JSON Pointer).
    :param max_depth: how many levels of documents, and of tags, there may be.
    :param different: those of *documents* that have to be looked at; all others are laid out as one of these, have an
        id and an array, and nothing else. None: all.
    :raises ValidationError: naming the first wrong place.
    """
    for document in documents if different is None else different:
        try:
            complete_one(document, "", max_depth, level)
        except ValidationError as wrong:
            position = next(n for n, each in enumerate(documents) if each is document)
            raise wrong.below(f"{pointer}/{position}") from None


def complete_one(document: Document, pointer: str, max_depth: int = MAX_DEPTH, level: int = 1) -> None:
    """The same for one document, which stands at *pointer*."""
    if not document.id:
        document.id = new_id()
    contents = (document._text, document._buffer, document._blob, document._uri, document._graph)
    if contents.count(UNSET) < _ALL_BUT_ONE:
        raise ValidationError.at(pointer, "at most one of text, buffer, blob, uri and graph may be set")
    if document.tags:
        settle(document.tags, f"{pointer}/tags", max_depth)
    embedding, blob = document._embedding, document._blob
    if embedding is not None and not ndarray.fits(embedding):
        document._embedding = _checked(embedding, pointer, "/embedding")
    if blob is not UNSET and not ndarray.fits(blob):
        document._blob = _checked(blob, pointer, "/blob")
    if document._graph is not UNSET:
        _check_graph(document._graph, f"{pointer}/graph", max_depth)
    if document._chunks or document._matches:
        for name, relatives in (("chunks", document._chunks), ("matches", document._matches)):
            if relatives and level >= max_depth:
                raise ValidationError.at(f"{pointer}/{name}", f"more than {max_depth} levels deep")
            complete(relatives, f"{pointer}/{name}", max_depth, level + 1)


def _checked(array: Any, pointer: str, name: str) -> ndarray.NdArray:
    try:
        if type(array) is list:
            return ndarray.to_wire(array)
        ndarray.check(array)
    except ValueError as wrong:
        raise ValidationError.at(pointer + name, str(wrong)) from None
    return array  # type: ignore[no-any-return]


def _check_graph(graph: Graph, pointer: str, max_depth: int) -> None:
    settle(graph.edge_features, f"{pointer}/edgeFeatures", max_depth)
    if graph.adjacency is not None:
        _checked(ndarray.NdArray(sparse=graph.adjacency), pointer, "/adjacency")
