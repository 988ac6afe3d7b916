"""A text generator: it goes on with a text, word by word, in the manner of Python's own documentation.

The model counts, when the executor is made, which word follows which two in ``pydoc_data.topics``, which is part of
Python. See flow.yml; page.html shows it in a browser.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from itertools import accumulate, pairwise
from pydoc_data.topics import topics
from typing import Annotated, Any

from msgspec import Meta, Struct

from twisted_flow import Document, DocumentArray, Executor, requests

Context = tuple[str, ...]
"""The two words before; or one; or none, at the beginning of a text, or where nobody has seen them."""


class Wish(Struct, forbid_unknown_fields=True):
    """What may be asked for."""

    words: Annotated[int, Meta(ge=1, le=2000)] = 60
    temperature: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """0: always the most frequent word. 1: as frequent as in what was read. Above: the rarer ones more often."""
    seed: int | None = None
    """The same seed writes the same text."""
    pause: Annotated[float, Meta(ge=0, le=10)] = 0.05
    """Seconds between two words."""


class Writer(Executor):
    """Goes on with texts."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.following: dict[Context, Counter[str]] = defaultdict(Counter)
        for paragraph in paragraphs():
            words = [*paragraph.split(), ""]  # the end is a word too
            self.following[()][words[0]] += 1
            for before, word in pairwise(words):
                self.following[(before,)][word] += 1
            for one, two, three in zip(words, words[1:], words[2:], strict=False):
                self.following[one, two][three] += 1

    @requests(on="/write")
    async def write(self, docs: DocumentArray, parameters: Wish) -> AsyncIterator[Document]:
        """Go on with the first document's text, or begin one: a document for each word, as it is found."""
        chance = random.Random(parameters.seed)
        before = docs[0].text.split()[-2:] if docs else []
        for number in range(parameters.words):
            if number and parameters.pause:
                await asyncio.sleep(parameters.pause)
            word, begins = self.next(before, parameters.temperature, chance), False
            if not word:  # the end of a paragraph
                begins, before = bool(before), []
                word = self.next(before, parameters.temperature, chance)
            yield Document(f"\n\n{word} " if begins else f"{word} ")
            before = [*before[-1:], word]

    def next(self, before: list[str], temperature: float, chance: random.Random) -> str:
        """The word behind *before*; '' at the end. Where both are not known together, the last one decides."""
        found = self.following.get(tuple(before)) or self.following.get(tuple(before[-1:]))
        return chosen(found, temperature, chance) if found else ""


def paragraphs() -> Iterator[str]:
    """The prose of Python's documentation, without examples, lists and headings."""
    for topic in topics.values():
        for paragraph in topic.split("\n\n"):
            if paragraph[:1].isalpha() and len(paragraph.split()) > 5:
                yield paragraph


def chosen(counted: Counter[str], temperature: float, chance: random.Random) -> str:
    """One of *counted*, each as likely as its number to the power of 1 / *temperature*."""
    items = list(counted)
    most = max(counted.values())
    if temperature < 0.01:
        return next(item for item in items if counted[item] == most)
    weights = list(accumulate((counted[item] / most) ** (1 / temperature) for item in items))
    return items[bisect(weights, chance.random() * weights[-1], hi=len(items) - 1)]
