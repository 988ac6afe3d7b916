"""Search in the Python language reference, which every Python brings along: no download, no model file.

    twistd flow --protocol=http --port=12345 --uses=examples/search/search.py:Search
    python examples/search/fill.py

The model is small and honest: the words of a passage, hashed to 8,192 numbers, weighted by how rare they are.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from typing import Any

import numpy as np

from twisted_flow import Document, DocumentArray, Executor, Reject, requests

DIMENSIONS = 8192
TITLE = 4  # times that a word of the title counts
STOP_WORDS = frozenset(
    "a an and are as at be but by can do does for from has have how i if in into is it its may not of on or other so "
    "such than that the their then there these they this to was we what when where which will with would you".split()
)


def terms(text: str) -> Counter[int]:
    """How often each term stands in *text*; terms are stems, by their place among `DIMENSIONS`."""
    words = [stem(word) for word in re.findall(r"[a-z_]+", text.lower()) if word not in STOP_WORDS]
    return Counter(zlib.crc32(word.encode()) % DIMENSIONS for word in words)


def stem(word: str) -> str:
    """*word* without the commonest endings."""
    for ending in ("ing", "ions", "ion", "ers", "er", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word


class Search(Executor):
    """Keeps passages, and finds those nearest to a question."""

    def __init__(self) -> None:
        self.passages: dict[str, Document] = {}
        self.counts: dict[str, Counter[int]] = {}
        self.matrix: Any = None
        """One row for each passage, of length 1; None where it has to be made anew."""

    @requests(on=["/index", "/update"])
    def index(self, docs: DocumentArray) -> None:
        """Keep passages; one with an id that is known takes its place."""
        for document in docs:
            self.passages[document.id] = Document(id=document.id, text=document.text, tags=dict(document.tags))
            self.counts[document.id] = terms(f"{document.tags.get('title', '')} " * TITLE + document.text)
        self.matrix = None

    @requests(on="/delete")
    def delete(self, docs: DocumentArray) -> None:
        """Forget passages by their ids."""
        for document in docs:
            if self.passages.pop(document.id, None) is None:
                raise Reject("NotFound", f"there is no passage {document.id!r}")
            del self.counts[document.id]
        self.matrix = None

    @requests(on="/count")
    def count(self) -> Document:
        """Say how many passages there are."""
        return Document(tags={"passages": len(self.passages)})

    @requests(on="/search")
    def search(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        """Give each question the passages nearest to it: ``top_k`` of them, with their scores."""
        top_k = parameters.get("top_k", 5)
        if not isinstance(top_k, int) or not 1 <= top_k <= 100:
            raise Reject("ValidationError", "top_k is a whole number from 1 to 100")
        if not self.passages:
            return
        self.prepare()
        ids = list(self.passages)
        for document in docs:
            scores = self.matrix @ weighted([terms(document.text)])[0]
            for position in np.argsort(-scores, kind="stable")[:top_k]:
                if scores[position] > 0:
                    found = self.passages[ids[position]]
                    match = Document(id=found.id, text=found.text, tags=dict(found.tags))
                    match.scores["cosine"] = float(scores[position])
                    document.matches.append(match)

    def prepare(self) -> None:
        """Make the matrix, if passages have changed."""
        if self.matrix is None:
            known = Counter(place for counts in self.counts.values() for place in counts)
            rarity = np.ones(DIMENSIONS, "f4")
            for place, times in known.items():
                rarity[place] = math.log((1 + len(self.counts)) / times)
            self.matrix = weighted(list(self.counts.values()), rarity)


def weighted(counts: list[Counter[int]], rarity: Any = 1.0) -> Any:
    """Rows of length 1: how often each term stands there (damped), times *rarity*.

    Passages are weighted by it and questions are not: else one rare word would drown the others.
    """
    rows = np.zeros((len(counts), DIMENSIONS), "f4")
    for row, each in zip(rows, counts, strict=True):
        for place, times in each.items():
            row[place] = 1 + math.log(times)
    rows *= rarity
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=rows, where=lengths > 0)
