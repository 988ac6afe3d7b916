"""Joining what became of the same documents in several branches: three-way, document by document and field by field.

What one branch changed stands against what the others left alone. Where two changed the same thing in two ways, the
branch that is named first wins, and that is told. So the result does not depend on which branch was ready first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple

from .array import DocumentArray
from .document import Document
from .fields import CONTENTS, Graph

__all__ = ["merge"]

Conflicts = list[tuple[str, str]]
"""Ids of documents, each with the field (or field and key) that was changed in two ways."""

_FIELDS = Document.__struct_fields__
_CONTENT = tuple(f"_{name}" for name in CONTENTS)
_OF_CONTENT = {*_CONTENT, "_mime_type"}
_BY_ID = {"_chunks", "_matches"}
_BY_KEY = {"_tags", "_scores", "_evaluations"}
_LOOKED_INTO = _BY_ID | _BY_KEY
_WHOLE = {*_FIELDS} - _OF_CONTENT - _BY_ID - _BY_KEY - {"_id"}
_MISSING = object()


def merge(before: Sequence[Document], branches: Sequence[Sequence[Document]], conflicts: Conflicts) -> DocumentArray:
    """What *branches* made of *before*, together. Their documents are used up; *before* is not touched.

    Documents are the same if their ids are (and the second of one id is the second). One that a branch dropped is
    dropped, if no other changed it; those that a branch added follow, in the order of *branches*; the first branch that
    sorted the documents anew has its order.

    :param conflicts: what was changed in two ways is added to it.
    """
    ids = [document._id for document in before]
    if len(set(ids)) == len(ids) and all([document._id for document in branch] == ids for branch in branches):
        return DocumentArray(_merged(base, its, conflicts) for base, *its in zip(before, *branches, strict=True))
    base, sides = _by_id(before), [_by_id(branch) for branch in branches]
    merged = DocumentArray()
    for key in _order(base, sides):
        versions = [side[key] for side in sides if key in side]
        if len(versions) == len(sides) or not all(_same(version, base[key]) for version in versions):
            merged.append(_merged(base[key], versions, conflicts))
    for key in dict.fromkeys(key for side in sides for key in side if key not in base):
        versions = [side[key] for side in sides if key in side]
        merged.append(versions[0] if len(versions) == 1 else _merged(_blank(versions[0]._id), versions, conflicts))
    return merged


_Key = str | tuple[str, int]  # an id; of further documents of one id with their number


def _by_id(documents: Iterable[Document]) -> dict[_Key, Document]:
    found: dict[_Key, Document] = {}
    times: dict[str, int] = {}
    for document in documents:
        id = document._id
        if id in found:
            times[id] = number = times.get(id, 1) + 1
            found[id, number] = document
        else:
            found[id] = document
    return found


def _order(base: Mapping[_Key, Document], sides: Sequence[Mapping[_Key, Document]]) -> list[_Key]:
    for side in sides:
        found = [key for key in side if key in base]
        if found != [key for key in base if key in side]:
            return found + [key for key in base if key not in side]
    return list(base)


def _blank(id: str) -> Document:
    document: Document = msgspec.StructMeta.__call__(Document)
    document._id = id
    return document


def _merged(base: Document, versions: Sequence[Document], conflicts: Conflicts) -> Document:
    """*versions* of one document, which was *base*: the first of them, changed."""
    merged = versions[0]
    changed = _changed(list(zip(astuple(base), *map(astuple, versions), strict=True)))
    for name, (before, *values) in changed.items():
        if name in _WHOLE:
            setattr(merged, name, _settled(before, values, base._id, name, conflicts))
        elif name in _BY_KEY:
            setattr(merged, name, _merged_by_key(before, values, base._id, name, conflicts))
        elif name in _BY_ID:
            setattr(merged, name, list(merge(before, values, conflicts)))
    if not changed.keys().isdisjoint(_OF_CONTENT):
        _merge_content(merged, base, versions, [name for name in _CONTENT if name in changed], conflicts)
    return merged


def _merge_content(
    merged: Document, base: Document, versions: Sequence[Document], names: Sequence[str], conflicts: Conflicts
) -> None:
    """Of what documents have at most one, one stands; and the type goes with it.

    :param names: which of them differ.
    """
    before, *contents = ([getattr(each, name) for name in names] for each in (base, *versions))
    content = _settled(before, contents, base._id, "content", conflicts)
    kept = zip(versions, contents, strict=True)
    types = [version._mime_type for version, its in kept if _equal(its, content) or _equal(its, before)]
    merged._mime_type = _settled(base._mime_type, types, base._id, "mime_type", conflicts)
    for name, value in zip(names, content, strict=True):
        setattr(merged, name, value)


def _merged_by_key(
    base: Mapping[str, object], versions: Sequence[Mapping[str, object]], id: str, name: str, conflicts: Conflicts
) -> dict[str, object]:
    merged = {}
    for key in dict.fromkeys((*base, *(key for version in versions for key in version))):
        values = [version.get(key, _MISSING) for version in versions]
        value = _settled(base.get(key, _MISSING), values, id, f"{name.lstrip('_')}.{key}", conflicts)
        if value is not _MISSING:
            merged[key] = value
    return merged


def _settled(base: object, values: Sequence[Any], id: str, name: str, conflicts: Conflicts) -> Any:
    """The value that stands: the first of those that differ from *base*, if any does."""
    changed = [value for value in values if not _equal(value, base)]
    if not changed:
        return values[0]
    if not all(_equal(value, changed[0]) for value in changed[1:]):
        conflicts.append((id, name.lstrip("_")))
    return changed[0]


def _changed(columns: list[tuple[object, ...]]) -> dict[str, tuple[Any, ...]]:
    """The fields that differ, with their values in all versions; what is joined by key or id, wherever there is any."""
    count = len(columns[0])
    return {
        name: column
        for name, column in zip(_FIELDS, columns, strict=True)
        if (any(column) if name in _LOOKED_INTO else _differ(name, column, count))
    }


def _differ(name: str, column: tuple[object, ...], count: int) -> bool:
    if name == "_graph":  # whose features may be anything
        return not all(_equal(column[0], other) for other in column[1:])
    return column.count(column[0]) != count


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, and of one type: True is not 1. What users put into tags may be anything."""
    if one is other:
        return True
    kind = type(one)
    if isinstance(one, dict) and isinstance(other, dict):  # tags and scores that were looked at are of other kinds
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if kind is not type(other):
        return False
    if isinstance(one, Graph):
        return all(map(_equal, astuple(one), astuple(other)))
    if kind is list or kind is tuple:
        return len(one) == len(other) and all(map(_equal, one, other))
    try:
        if kind is np.ndarray:
            return one.dtype == other.dtype and np.array_equal(one, other)
        return bool(one == other)
    except Exception:  # it cannot tell
        return False


def _same(one: Document, other: Document) -> bool:
    """Whether two versions of a document are the same."""
    return all(
        len(mine) == len(its) and all(map(_same, mine, its)) if name in _BY_ID else _equal(mine, its)
        for name, mine, its in _pairs(one, other)
    )


def _pairs(one: Document, other: Document) -> Iterator[tuple[str, Any, Any]]:
    for name in Document.__struct_fields__:
        yield name, getattr(one, name), getattr(other, name)
