"""What documents cost: a copy, an appended match, and `match`. Microseconds, the least of five rounds."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from copy import deepcopy

import numpy as np

from twisted_flow import Document, DocumentArray


def show(name: str, function: Callable[[], object], times: int) -> None:
    """Time *function*."""
    print(f"{min(timeit.repeat(function, number=times, repeat=5)) / times * 1e6:10.2f}  {name}")


def document(seed: int) -> Document:
    """One with three chunks, an embedding of 768 floats, and nested tags."""
    values = np.random.default_rng(seed).random(768, dtype="f4")
    tags = {"lang": "en", "a": {"b": [1, 2, 3]}}
    return Document("hello", embedding=values, tags=tags, chunks=[Document(each) for each in "abc"])


def main() -> None:
    """Time all of them."""
    one = Document.from_protobuf(document(0).to_protobuf())  # as it comes in: nobody has looked at its array
    parent = Document(id="p")
    index = DocumentArray(document(seed) for seed in range(1000))
    queries = DocumentArray(document(seed) for seed in range(10))
    for each in (*index, *queries):
        _ = each.embedding
    show("a copy", lambda: deepcopy(one), 20_000)
    show("Document(one, copy=True)", lambda: Document(one, copy=True), 20_000)

    def append() -> None:
        parent.matches.append(one)
        parent.matches.clear()

    show("matches.append(one)", append, 20_000)
    show("10 queries, match against 1,000 documents of 768 floats", lambda: queries.match(index, limit=10), 20)


if __name__ == "__main__":
    main()
