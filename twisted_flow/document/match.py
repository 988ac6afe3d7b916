"""Finding the nearest documents by their embeddings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..suggestion import nearest

if TYPE_CHECKING:
    from .array import DocumentArray

__all__ = ["METRICS", "match"]

_Array = NDArray[np.floating[Any]]


def _cosine(left: _Array, right: _Array) -> _Array:
    norms = np.linalg.norm(left, axis=1, keepdims=True) * np.linalg.norm(right, axis=1)
    distances: _Array = np.maximum(1 - np.divide(left @ right.T, norms, out=np.zeros(norms.shape), where=norms > 0), 0)
    return distances


def _sqeuclidean(left: _Array, right: _Array) -> _Array:
    squares = (left**2).sum(axis=1, keepdims=True) + (right**2).sum(axis=1) - 2 * left @ right.T
    distances: _Array = np.maximum(squares, 0)
    return distances


def _euclidean(left: _Array, right: _Array) -> _Array:
    return np.sqrt(_sqeuclidean(left, right))


METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "cosine": _cosine,
    "euclidean": _euclidean,
    "sqeuclidean": _sqeuclidean,
}
"""Distances by name: of arrays of shapes (n, d) and (m, d) to one of shape (n, m)."""


def match(queries: DocumentArray, index: DocumentArray, limit: int, metric: str | Callable[[Any, Any], Any]) -> None:
    """See `DocumentArray.match`."""
    name = metric if isinstance(metric, str) else metric.__name__
    measure = METRICS.get(metric) if isinstance(metric, str) else metric
    if measure is None:
        raise ValueError(f"no metric is named {metric!r}{nearest(name, METRICS)}")
    if not queries or not index:
        for query in queries:
            query.matches = []
        return
    distances = measure(queries.embeddings.astype(float), index.embeddings.astype(float))
    for query, row in zip(queries, distances, strict=True):
        found = []
        for position in np.argsort(row, kind="stable")[:limit]:
            twin = copy.copy(index[int(position)])
            twin.scores = {**twin._scores, name: float(row[position])}
            found.append(twin)
        query.matches = []
        query.matches.extend(found, copy=False)
