"""The search in four executors: encode and index find passages by their vectors, keywords by their words, rank by both.

See flow.yml. Each branch adds its own score to a match; where both found a passage, the flow joins the two by its id.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from search import TITLE, terms, weighted  # the file beside this one

from twisted_flow import Document, DocumentArray, Executor, Reject, requests


class Encode(Executor):
    """Makes vectors of texts."""

    @requests(on=["/index", "/update", "/search"])
    def encode(self, docs: DocumentArray) -> None:
        """Give each document an embedding: its terms, damped, of length 1."""
        for document in docs:
            document.embedding = weighted([terms(text(document))])[0]


def text(document: Document) -> str:
    """What a document says, its title some times over."""
    return f"{document.tags.get('title', '')} " * TITLE + document.text


class Branch(Executor):
    """What both ways of finding have in common.

    :param candidates: how many passages each way proposes.
    """

    def __init__(self, candidates: int) -> None:
        self.candidates = candidates
        self.passages: dict[str, Document] = {}

    @requests(on=["/index", "/update"])
    def index(self, docs: DocumentArray) -> None:
        """Keep passages; one with an id that is known takes its place."""
        for document in docs:
            self.passages[document.id] = Document(
                id=document.id, text=document.text, tags=dict(document.tags), embedding=document.embedding
            )
        self.changed()

    @requests(on="/delete")
    def delete(self, docs: DocumentArray) -> None:
        """Forget passages by their ids."""
        for document in docs:
            if self.passages.pop(document.id, None) is None:
                raise Reject("NotFound", f"there is no passage {document.id!r}")
        self.changed()

    def changed(self) -> None:
        """The passages have changed."""

    def propose(self, document: Document, name: str, scores: dict[str, float]) -> None:
        """Add the best passages by *scores* to the matches, each with its score under *name*."""
        best = sorted(scores, key=lambda passage: (-scores[passage], passage))[: self.candidates]
        for passage in best:
            found = self.passages[passage]
            match = Document(id=found.id, text=found.text, tags=dict(found.tags))
            match.scores[name] = scores[passage]
            document.matches.append(match)


class Index(Branch):
    """Finds passages by their vectors."""

    matrix: Any = None
    """One row for each passage, of length 1; None where it has to be made anew."""

    def changed(self) -> None:
        self.matrix = None

    @requests(on="/count")
    def count(self) -> Document:
        """Say how many passages there are."""
        return Document(tags={"passages": len(self.passages)})

    @requests(on="/search")
    def search(self, docs: DocumentArray) -> None:
        """Propose the passages nearest to each question."""
        if not self.passages:
            return
        if self.matrix is None:
            rows = np.stack([passage.embedding for passage in self.passages.values()])
            known = np.count_nonzero(rows, axis=0)
            rows = rows * np.log((1 + len(rows)) / np.maximum(known, 1), dtype="f4")
            self.matrix = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        for document in docs:
            nearness = self.matrix @ document.embedding
            scores = zip(self.passages, nearness.tolist(), strict=True)
            self.propose(document, "cosine", {passage: score for passage, score in scores if score > 0})


class Keywords(Branch):
    """Finds passages by the words of the question that they have: BM25 (Robertson and others, 1994)."""

    saturation, by_length = 1.2, 0.75
    words: dict[str, Counter[int]] | None = None

    def changed(self) -> None:
        self.words = None

    @requests(on="/search")
    def search(self, docs: DocumentArray) -> None:
        """Propose the passages that have most of each question's words; the best one scores 1."""
        if not self.passages:
            return
        if self.words is None:
            self.words = {passage.id: terms(text(passage)) for passage in self.passages.values()}
            self.known = Counter(word for words in self.words.values() for word in words)
            self.length = sum(words.total() for words in self.words.values()) / len(self.words)
        for document in docs:
            asked = [word for word in terms(document.text) if self.known[word]]
            scores = {passage: self.score(asked, words) for passage, words in self.words.items()}
            best = max(scores.values())
            self.propose(document, "keywords", {id: score / best for id, score in scores.items() if score > 0})

    def score(self, asked: list[int], words: Counter[int]) -> float:
        """How well a passage of *words* answers."""
        assert self.words is not None
        damping = self.saturation * (1 - self.by_length + self.by_length * words.total() / self.length)
        return sum(
            math.log((1 + len(self.words)) / self.known[word]) * words[word] / (words[word] + damping)
            for word in asked
            if word in words
        )


class Asked(Struct):
    """What a search may be told."""

    top_k: Annotated[int, Meta(ge=1, le=100)] = 5
    """How many passages."""


class Rank(Executor):
    """Puts what both branches have found in order."""

    @requests(on="/search")
    async def rank(self, docs: DocumentArray, parameters: Asked) -> None:
        """Sort the matches by both scores together, each as a part of its best, and leave the first."""
        for document in docs:
            most: dict[str, float] = {}
            for match in document.matches:
                for name, score in match.scores.items():
                    most[name] = max(score.value, most.get(name, 0.0))
            for match in document.matches:
                match.scores["rank"] = sum(score.value / most[name] for name, score in match.scores.items())
            best = sorted(document.matches, key=lambda match: (-match.scores["rank"].value, match.id))
            document.matches = best[: parameters.top_k]
            document.embedding = None

    @requests(on=["/index", "/update"])
    async def done(self, docs: DocumentArray) -> None:
        """Send no vectors back."""
        for document in docs:
            document.embedding = None
