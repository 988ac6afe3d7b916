"""Joining branches by id, three-way."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.documents import documents
from twisted_flow import Document, DocumentArray
from twisted_flow.document.copies import copied
from twisted_flow.document.merge import merge


def joined(before: list[Document], *changes: Any) -> tuple[DocumentArray, list[tuple[str, str]]]:
    """What *changes*, functions of a branch's documents, make of *before* together; and the conflicts."""
    branches = []
    for change in changes:
        branch = copied(before)
        result = change(branch)
        branches.append(branch if result is None else result)
    conflicts: list[tuple[str, str]] = []
    return merge(before, branches, conflicts), conflicts


def test_the_example() -> None:
    """Changes of different things stand side by side."""

    def right(docs: DocumentArray) -> None:
        docs[0].tags["r"] = 2
        docs[0].text = "x"

    merged, conflicts = joined([Document(id="a", tags={"k": 1})], lambda docs: docs[0].tags.update(l=1), right)
    assert merged == [Document(id="a", text="x", tags={"k": 1, "l": 1, "r": 2})]
    assert conflicts == []


def setting(name: str, value: Any) -> Any:
    def change(docs: DocumentArray) -> None:
        setattr(docs[0], name, value)

    return change


@pytest.mark.parametrize(
    ("left", "right", "expected", "conflict"),
    [
        (("text", "l"), ("text", "r"), {"text": "l"}, "content"),
        (("text", "l"), ("buffer", b"r"), {"text": "l", "mime_type": "text/plain"}, "content"),
        (("buffer", b"l"), ("text", "r"), {"buffer": b"l", "mime_type": ""}, "content"),
        (("weight", 2.0), ("weight", 3.0), {"weight": 2.0}, "weight"),
        (("weight", 2.0), ("weight", 2.0), {"weight": 2.0}, None),
        (("weight", 0.0), ("weight", 3.0), {"weight": 3.0}, None),
        (("tags", {"a": 1}), ("tags", {"a": 2, "b": 3}), {"tags": {"a": 1, "b": 3}}, "tags.a"),
        (("scores", {"s": 1}), ("scores", {"s": 2, "t": 3}), {"scores": {"s": 1, "t": 3}}, "scores.s"),
        (("uri", "a.png"), ("modality", "image"), {"uri": "a.png", "modality": "image"}, None),
        (("location", [1]), ("location", [2]), {"location": [1]}, "location"),
    ],
)
def test_conflicts(left: Any, right: Any, expected: dict[str, Any], conflict: str | None) -> None:
    """Where both changed the same thing differently, the branch named first wins, and that is told."""
    merged, conflicts = joined([Document(id="a")], setting(*left), setting(*right))
    assert merged == [Document({"id": "a", **expected})]
    assert conflicts == ([] if conflict is None else [("a", conflict)])


class Odd:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.array([1, 2]), np.array([3, 4])),
        (np.array([1, 2]), np.array([1.0, 2.0])),
        ([np.array([1]), {"a": np.array([2])}], [np.array([1]), {"a": np.array([3])}]),
        (1, True),
        (0, False),
        (1, 1.0),
        ([1], [True]),
        (Odd(), Odd()),
    ],
)
def test_whatever_stands_in_tags(before: Any, after: Any) -> None:
    """What is of another type is changed; what nobody touched is not, even if it cannot be compared."""
    document = Document(id="a", tags={"k": before})
    merged = merge([document], [[copy.copy(document)], [copy.copy(document)]], conflicts := [])
    kept = document.tags["k"]
    assert (merged[0].tags["k"] is kept, conflicts) == (True, [])
    changed = copy.copy(document)
    changed.tags = {"k": after}
    kept = changed.tags["k"]
    merged = merge([document], [[copy.copy(document)], [changed]], conflicts)
    assert (merged[0].tags["k"] is kept, conflicts) == (True, [])


def test_embeddings() -> None:
    """Arrays are compared by what is in them."""
    before = [Document(id="a", embedding=np.zeros(2), blob=np.zeros(2))]

    def left(docs: DocumentArray) -> None:
        docs[0].embedding[1] = 1

    def right(docs: DocumentArray) -> None:
        docs[0].blob = np.ones(2)

    merged, conflicts = joined(before, left, right)
    assert (merged[0].embedding.tolist(), merged[0].blob.tolist(), conflicts) == ([0, 1], [1, 1], [])


def test_documents_come_and_go() -> None:
    """Dropped is dropped, unless another branch changed it; added follow in the order of the branches."""
    before = [Document(id=name) for name in "abc"]

    def left(docs: DocumentArray) -> DocumentArray:
        return DocumentArray([docs["c"], Document(id="l"), Document(id="both", text="l")])

    def right(docs: DocumentArray) -> None:
        docs["a"].weight = 1
        docs.extend([Document(id="r"), Document(id="both", tags={"r": 1})])

    merged, conflicts = joined(before, left, right)
    assert [document.id for document in merged] == ["a", "c", "l", "both", "r"]
    assert (merged["both"].text, merged["both"].tags) == ("l", {"r": 1})
    assert conflicts == []


def test_order() -> None:
    """Who sorted the documents has its order."""
    before = [Document(id=name) for name in "abc"]
    merged, _ = joined(before, lambda docs: None, lambda docs: DocumentArray(reversed(docs)))
    assert [document.id for document in merged] == ["c", "b", "a"]


def test_nested() -> None:
    """Chunks and matches are joined by id too."""
    before = [Document(id="a", chunks=[Document(id="b", chunks=[Document(id="c")])])]

    def left(docs: DocumentArray) -> None:
        docs[0].chunks[0].chunks[0].text = "l"
        docs[0].matches.append(Document(id="m"))

    def right(docs: DocumentArray) -> None:
        docs[0].chunks[0].tags["r"] = 1

    merged, conflicts = joined(before, left, right)
    (chunk,) = merged[0].chunks
    assert (chunk.tags, chunk.chunks[0].text, merged[0].matches[0].id, conflicts) == ({"r": 1}, "l", "m", [])


def test_one_id_twice() -> None:
    """Of two documents with one id the second of one branch is the second of the other."""
    before = [Document(id="a"), Document(id="a")]
    merged, _ = joined(before, lambda docs: setattr(docs[1], "text", "l"), lambda docs: docs[1].tags.update(r=1))
    assert [(document.text, document.tags) for document in merged] == [("", {}), ("l", {"r": 1})]


def unordered(docs: Iterable[Document]) -> list[str]:
    """What *docs* are, on every level, in whatever order: what a branch added follows behind, wherever it stood."""

    def sort(document: Document) -> Document:
        for relatives in (document.chunks, document.matches):
            found = sorted(map(sort, relatives), key=Document.to_json)
            relatives.clear()
            for each in found:
                relatives.append(each, copy=False)
        return document

    return sorted(sort(document).to_json().replace("-0.0", "0.0") for document in copied(docs))  # which are equal


@settings(max_examples=50)
@example(
    [Document(id="0", chunks=[Document(id="0")])], [Document(id="0", chunks=[Document(id="1"), Document(id="0")])], 1
)
@given(st.lists(documents(1), max_size=2), st.lists(documents(1), max_size=2), st.integers(1, 2))
def test_laws(before: list[Document], changed: list[Document], untouched: int) -> None:
    """Branches that change nothing leave all to the one that did, wherever it stands; what was before is untouched."""
    kept = [document.to_json() for document in before]
    nothing = [lambda docs: None] * untouched
    result = copied(changed)
    for place in range(untouched + 1):
        merged, conflicts = joined(before, *nothing[:place], lambda docs: copied(changed), *nothing[place:])
        assert unordered(merged) == unordered(result)
        assert conflicts == []
    merged, _ = joined(before, *nothing)
    assert [document.to_json() for document in merged] == kept
    assert [document.to_json() for document in before] == kept


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(),
        "weight": st.floats(1, 2),
        "tags": st.dictionaries(st.sampled_from("abc"), st.integers(), min_size=1),
        "modality": st.sampled_from("xy"),
        "offset": st.integers(1, 9),
    },
)


@given(st.lists(FIELDS, min_size=2, max_size=4))
def test_no_change_is_lost(changes: list[dict[str, Any]]) -> None:
    """Each change of a branch is in the result, unless an earlier branch changed the same thing."""

    def apply(fields: dict[str, Any]) -> Any:
        def change(docs: DocumentArray) -> None:
            for name, value in fields.items():
                setattr(docs[0], name, value)

        return change

    (merged,), _ = joined([Document(id="a")], *map(apply, changes))
    expected: dict[str, Any] = {"tags": {}}
    for fields in reversed(changes):
        expected = {**expected, **fields, "tags": {**expected["tags"], **fields.get("tags", {})}}
    assert merged == Document({"id": "a", **expected})
