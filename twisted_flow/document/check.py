"""Completing decoded documents: ids, whole numbers, lists to arrays, and the checks that decoders do not make."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import astuple

from ..errors import PayloadTooLarge, ValidationError
from ..limits import LONGEST_NAME, MAX_DEPTH, Limits
from . import ndarray
from .fields import FIELDS
from .identity import new_id
from .listed import from_lists
from .numbers import float32, settle, settle_score

if TYPE_CHECKING:
    from .document import Document, Graph

__all__ = ["Counter", "complete", "complete_one", "received"]

_MOST_LEVELS = 100  # of an answer: as protobuf has it
_ALL_BUT_ONE = 4  # of the five contents


class Counter:
    """How many documents a request may still have.

    :param limits: what is bounded.
    """

    __slots__ = ("left", "most")

    def __init__(self, limits: Limits) -> None:
        self.left = self.most = limits.max_documents

    def take(self, number: int) -> None:
        """Count *number* more.

        :raises PayloadTooLarge: if those are too many.
        """
        self.left -= number
        if self.left < 0:
            raise PayloadTooLarge(f"more than {self.most} documents")


def complete(
    documents: Sequence[Document],
    pointer: str,
    max_depth: int = MAX_DEPTH,
    level: int = 1,
    different: Sequence[Document] | None = None,
    counter: Counter | None = None,
    first: int = 0,
) -> None:
    """Fill in the ids, settle the numbers in tags, make arrays of lists, and hold each document to the rules.

    :param pointer: where *documents* stand in the message (a JSON Pointer).
    :param max_depth: how many levels of documents, and of tags, there may be.
    :param different: those of *documents* that have to be looked at; all others are laid out as one of these, have an
        id and an array, and nothing else. None: all.
    :param counter: counts them, and those nested in them.
    :param first: the position of the first of them, where others stand before it.
    :raises ValidationError: naming the first invalid field.
    :raises PayloadTooLarge: if there are too many.
    """
    if counter is not None:
        counter.take(len(documents))
    for document in documents if different is None else different:
        try:
            complete_one(document, "", max_depth, level, counter)
        except ValidationError as error:
            position = next(n for n, each in enumerate(documents) if each is document)
            raise error.below(f"{pointer}/{first + position}") from None


def complete_one(
    document: Document, pointer: str, max_depth: int = MAX_DEPTH, level: int = 1, counter: Counter | None = None
) -> None:
    """The same for one document, which stands at *pointer*."""
    # All fields at once, which costs what three of them do one by one (`Document.__getattr__`).
    (
        identity, _, _, _, _, buffer, blob, uri, graph, chunks, weight, matches, _, tags, _, _, embedding, scores, _,
        evaluations,
    ) = astuple(document)[:FIELDS]  # fmt: skip
    if not identity:
        document._id = new_id()
    elif len(identity) > LONGEST_NAME:
        raise ValidationError.at(f"{pointer}/id", f"has more than {LONGEST_NAME} characters")
    if not buffer is blob is uri is graph is UNSET:  # a text at most is usual
        _check_content(document, pointer, max_depth)
    if tags or embedding is not None or weight != 0.0 or scores or evaluations:
        _settle_one(document, pointer, max_depth)
    if chunks or matches:
        for name, relatives in (("chunks", chunks), ("matches", matches)):
            if relatives and level >= max_depth:
                raise ValidationError.at(f"{pointer}/{name}", f"more than {max_depth} levels deep")
            complete(relatives, f"{pointer}/{name}", max_depth, level + 1, None, counter)


def received(documents: Sequence[Document], pointer: str, level: int = 1) -> None:
    """The same for the documents of an answer; whatever a server makes of them is taken, if it can be read.

    :raises ValidationError: if it cannot.
    """
    for position, document in enumerate(documents):
        array = f"{pointer}/{position}"
        if level > _MOST_LEVELS:
            raise ValidationError.at(array, "nested too deep")
        document._id = document._id or new_id()
        _settle_one(document, array, _MOST_LEVELS)
        blob = document._blob
        if blob is not UNSET and not ndarray.fits(blob):
            document._blob = _checked(blob, array, "/blob")
        if document._chunks or document._matches:
            received(document._chunks, f"{array}/chunks", level + 1)
            received(document._matches, f"{array}/matches", level + 1)


def _settle_one(document: Document, pointer: str, max_depth: int) -> None:
    if document._tags:
        settle(document._tags, f"{pointer}/tags", max_depth)
    embedding = document._embedding
    if embedding is not None and not ndarray.fits(embedding):
        document._embedding = _checked(embedding, pointer, "/embedding")
    if document._weight != 0.0 or document._scores or document._evaluations:
        _check_scores(document, pointer)


def _check_content(document: Document, pointer: str, max_depth: int) -> None:
    contents = (document._text, document._buffer, document._blob, document._uri, document._graph)
    if contents.count(UNSET) < _ALL_BUT_ONE:
        raise ValidationError.at(pointer, "at most one of text, buffer, blob, uri and graph may be set")
    blob = document._blob
    if blob is not UNSET and not ndarray.fits(blob):
        document._blob = _checked(blob, pointer, "/blob")
    if document._graph is not UNSET:
        _check_graph(document._graph, f"{pointer}/graph", max_depth)


def _checked(array: Any, pointer: str, name: str) -> ndarray.NdArray:
    try:
        if type(array) is list:
            return from_lists(array)
        ndarray.check(array)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValidationError.at(pointer + name, str(error)) from None
    return array  # type: ignore[no-any-return]


def _check_scores(document: Document, pointer: str) -> None:
    weight = document._weight
    document._weight = nan if weight is None else float32(weight, f"{pointer}/weight")  # JSON has no word for NaN
    for field, scores in (("scores", document._scores), ("evaluations", document._evaluations)):
        for name, score in scores.items():
            settle_score(score, f"{pointer}/{field}/{name}")


def _check_graph(graph: Graph, pointer: str, max_depth: int) -> None:
    settle(graph.edge_features, f"{pointer}/edgeFeatures", max_depth)
    adjacency = graph.adjacency
    if adjacency is not None and not adjacency.shape and not adjacency.values.buffer:
        graph.adjacency = None  # as protobuf has one that says nothing
    elif adjacency is not None:
        _checked(ndarray.NdArray(sparse=adjacency), pointer, "/adjacency")
