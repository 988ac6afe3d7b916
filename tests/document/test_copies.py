"""Copies: equal, and nothing leaks."""

from __future__ import annotations

import copy
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


def test_a_class_of_ones_own() -> None:
    """What it has beside is copied too."""
    document = _Own("hello")
    document.found = [1]
    twin = copy.deepcopy(document)
    twin.found.append(2)
    assert (type(twin), twin.text, twin.found, document.found) == (_Own, "hello", [1, 2], [1])


def test_arrays() -> None:
    """A change in place of an array, on either side, stays there."""
    document = Document(embedding=np.zeros(3), blob=np.zeros(3), tags={"a": [np.zeros(3), {"b": {1}}]})
    (twin,) = copied(DocumentArray([document]))
    twin.embedding[0] = document.blob[1] = twin.tags["a"][0][2] = 1
    twin.tags["a"][1]["b"].append(2)
    assert (document.embedding[0], twin.blob[1], document.tags["a"][0][2]) == (0, 0, 0)
    assert document.tags["a"][1]["b"] == [1]
