"""Values by paths with two underscores between the steps: ``tags__a__b``, ``scores__m__value``, ``chunks__0__text``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .document import Document

__all__ = ["attribute", "attributes"]

_LONGEST = 20  # digits of a position


def attribute(document: Document, path: str) -> object:
    """The value at *path* in *document*; None where there is none."""
    found: object = document
    for name in path.split("__"):
        found = _step(found, name)
        if found is None:
            return None
    return found


def attributes(document: Document, *paths: str) -> object:
    """The value at the one of *paths*; a list of them, where there are several."""
    found = [attribute(document, path) for path in paths]
    return found[0] if len(found) == 1 else found


def _step(value: object, name: str) -> object:
    """What *value* has under *name*: a key, the number of an item, or an attribute; None where it has none."""
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, Sequence) and name.isdecimal() and len(name) < _LONGEST:
        return value[int(name)] if int(name) < len(value) else None
    return None if name.startswith("_") else getattr(value, name, None)
