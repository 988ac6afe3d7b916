"""The fields of a document that are more than a value: descriptors over the wire's fields (``_name``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from msgspec import UNSET, Struct

from . import ndarray
from .array import ChunkArray, DocumentArray, MatchArray

if TYPE_CHECKING:
    from .document import Document

__all__ = ["CONTENTS", "Blob", "Content", "NamedScore", "NamedScores", "Relatives", "Scores"]

CONTENTS = ("text", "buffer", "blob", "uri", "graph")
"""The fields of which a document has at most one (protobuf's oneof ``content``)."""

T = TypeVar("T")


class NamedScore(Struct, rename="camel", forbid_unknown_fields=True):
    """How well something did, by one measure."""

    value: float = 0.0
    op_name: str = ""
    description: str = ""
    operands: list[NamedScore] = []
    ref_id: str = ""


class NamedScores(dict[str, NamedScore]):
    """Scores by the name of their measure. A plain number put in becomes a `NamedScore`."""

    __slots__ = ()

    def __setitem__(self, name: str, score: NamedScore | float) -> None:
        super().__setitem__(name, score if isinstance(score, NamedScore) else NamedScore(float(score)))


class _Field(Generic[T]):
    """What the descriptors below share: the name of the field that they guard."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.slot = f"_{name}"

    @overload
    def __get__(self, document: None, owner: Any = None) -> _Field[T]: ...
    @overload
    def __get__(self, document: Document, owner: Any = None) -> T: ...
    def __get__(self, document: Document | None, owner: Any = None) -> _Field[T] | T:
        return self if document is None else self.read(document)

    def read(self, document: Document) -> T:
        """The value of this field in *document*."""
        raise NotImplementedError


class Content(_Field[T | None]):
    """One of `CONTENTS`: setting it clears the others; None where it is not the one that is set."""

    def read(self, document: Document) -> T | None:
        value = getattr(document, self.slot)
        return None if value is UNSET else value

    def __set__(self, document: Document, value: T | None) -> None:
        document._text = document._buffer = document._blob = document._uri = document._graph = UNSET
        if value is not None:
            setattr(document, self.slot, self.wire(value))

    def wire(self, value: T) -> Any:
        """*value* as it is kept."""
        return value


class Blob(Content[Any]):
    """The content that is an array."""

    def read(self, document: Document) -> Any:
        value: Any = document._blob
        return None if value is UNSET else ndarray.from_wire(value)

    def wire(self, value: Any) -> ndarray.NdArray:
        return ndarray.to_wire(value)


class Relatives(_Field[DocumentArray]):
    """Chunks or matches: a list whose new members learn how they are related to their document."""

    def __init__(self, kind: type[ChunkArray] | type[MatchArray], doc: str) -> None:
        super().__init__(doc)
        self.kind = kind

    def read(self, document: Document) -> DocumentArray:
        value = getattr(document, self.slot)
        if not isinstance(value, self.kind):
            value = self.kind.of(document, value)
            setattr(document, self.slot, value)
        return value

    def __set__(self, document: Document, value: Any) -> None:
        fresh = self.kind.of(document, ())
        fresh.extend(value)
        setattr(document, self.slot, fresh)


class Scores(_Field[NamedScores]):
    """Scores by name."""

    def read(self, document: Document) -> NamedScores:
        value = getattr(document, self.slot)
        if not isinstance(value, NamedScores):
            value = NamedScores(value)
            setattr(document, self.slot, value)
        return value

    def __set__(self, document: Document, value: Any) -> None:
        fresh = NamedScores()
        for name, score in value.items():
            fresh[name] = score
        setattr(document, self.slot, fresh)
