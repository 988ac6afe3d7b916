"""Copies: equal, and nothing leaks."""

from __future__ import annotations

import copy
import pickle
from collections import Counter, defaultdict
from typing import Any

import msgspec
import numpy as np
from hypothesis import given

from tests.documents import documents
from twisted_flow import Document, DocumentArray
from twisted_flow.document.copies import copied
from twisted_flow.document.fields import FIELDS


def test_every_field_is_known() -> None:
    """What reads all of them at once has to learn of another one."""
    assert len(Document.__struct_fields__) == FIELDS


def mutables(value: Any) -> set[int]:
    """The identities of all that can be changed in place below *value*."""
    if isinstance(value, msgspec.Struct):
        return {id(value)}.union(*(mutables(getattr(value, name)) for name in value.__struct_fields__))
    if isinstance(value, dict):
        return {id(value)}.union(*map(mutables, value.values()))
    if isinstance(value, list):
        return {id(value)}.union(*map(mutables, value))
    return {id(value)} if isinstance(value, bytearray | np.ndarray) else set()


@given(documents())
def test_copies(document: Document) -> None:
    """A copy is equal, and shares nothing that can be changed."""
    kept = document.to_json()
    (twin,) = copied([document])
    assert twin == document
    assert mutables(twin) & mutables(document) == set()
    assert copy.deepcopy(document) == document
    twin.tags["new"] = 1
    twin.chunks.append(Document("new"))
    twin.scores["new"] = 1.0
    assert document.to_json() == kept


class _Own(Document):
    """A document with a field of a user's own."""

    found: list[int] = []
    made: int = 0

    def __post_init__(self) -> None:
        self.made += 1


class _Fixed(msgspec.Struct, frozen=True):
    value: list[int]


def test_a_class_of_ones_own() -> None:
    """What it has beside is copied too."""
    document = _Own("hello")
    document.found = [1]
    document.chunks.append(_Own("part"))
    twin = copy.deepcopy(document)
    assert twin == document
    twin.found.append(2)
    twin.chunks[0].text = "other"
    assert (type(twin), twin.text, twin.found, twin.made) == (_Own, "hello", [1, 2], 1)
    assert (document.found, document.chunks[0].text) == ([1], "part")
    document.chunks.clear()  # else a chunk is a plain Document there
    same = pickle.loads(pickle.dumps(document))
    assert (type(same), same.found) == (_Own, [1])


def test_what_only_executors_of_a_flow_see() -> None:
    """Values in tags that no wire has are copied as `copy.deepcopy` does, and keep their types."""
    inner = Document("inner", chunks=[Document("part")])
    inner.chunks  # noqa: B018 (somebody has looked)
    odd: dict[str, Any] = {
        "fixed": _Fixed([1]), "counted": Counter("aab"), "usual": defaultdict(list, {"k": [_Fixed([2])]}),
        "document": inner, "set": {1}, "nothing": None,
    }  # fmt: skip
    document = Document("x")
    dict.update(document.tags, odd)
    twin = copy.deepcopy(document)
    for name, value in odd.items():
        assert (type(twin.tags[name]), twin.tags[name]) == (type(value), value)
    assert twin.tags["fixed"].value is not odd["fixed"].value
    assert twin.tags["usual"]["k"] is not odd["usual"]["k"]
    assert twin.tags["document"].chunks[0] is not inner.chunks[0]
    assert twin.tags["document"].chunks.document is twin.tags["document"]


def test_arrays() -> None:
    """A change in place of an array, on either side, stays there."""
    document = Document(embedding=np.zeros(3), blob=np.zeros(3), tags={"a": [np.zeros(3), {"b": {1}}]})
    (twin,) = copied(DocumentArray([document]))
    twin.embedding[0] = document.blob[1] = twin.tags["a"][0][2] = 1
    twin.tags["a"][1]["b"].append(2)
    assert (document.embedding[0], twin.blob[1], document.tags["a"][0][2]) == (0, 0, 0)
    assert document.tags["a"][1]["b"] == [1]
