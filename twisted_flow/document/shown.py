"""The ``repr`` of a document."""

from __future__ import annotations

from reprlib import Repr
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from .ndarray import NdArray

if TYPE_CHECKING:
    from .document import Document

__all__ = ["shown"]

_short = Repr()
_short.maxstring = _short.maxother = 80
_short.maxlevel = 3


def shown(document: Document) -> str:
    """*document* as text: arrays by dtype and shape, chunks and matches by number, the rest cut short."""
    said = []
    for name in document.__struct_fields__:
        value = getattr(document, name)
        if value is not UNSET and value is not None and (value or name == "_text"):
            said.append(f"{name.lstrip('_')}={_value(name, value)}")
    return f"Document({', '.join(said)})"


def _value(name: str, value: Any) -> str:
    if isinstance(value, NdArray):
        if value.sparse is not UNSET:
            return f"<sparse array {value.sparse.values.dtype} {tuple(value.sparse.shape)}>"
        return f"<array {value.dense.dtype} {tuple(value.dense.shape)}>" if value.dense is not UNSET else "<no array>"
    if name in ("_chunks", "_matches"):
        return f"<{len(value)} documents>" if len(value) > 1 else "<1 document>"
    return repr(value) if name == "_id" else _short.repr(value)
