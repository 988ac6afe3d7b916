"""The fields of a document that are more than a value: descriptors over the wire's fields (``_name``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, overload

import msgspec
from msgspec import UNSET, Meta, Struct

from . import assigned, ndarray
from .array import ChunkArray, DocumentArray, MatchArray
from .ndarray import NdArray, SparseNdArray
from .values import GuardedDict, plain_dict

if TYPE_CHECKING:
    from .document import Document

__all__ = [
    "CONTENTS",
    "FIELDS",
    "Blob",
    "Content",
    "Count",
    "Graph",
    "NamedScore",
    "NamedScores",
    "Number",
    "Relatives",
    "Scores",
    "a_graph",
    "an_array",
    "plain_score",
]

CONTENTS = ("text", "buffer", "blob", "uri", "graph")
"""The fields of which a document has at most one (protobuf's oneof ``content``)."""

FIELDS = 20
"""How many a document has, in the order of the wire; those of a class of a user's own follow."""

T = TypeVar("T")


Count = Annotated[int, Meta(ge=0, le=assigned.MOST_COUNT)]

if TYPE_CHECKING:
    Number = float
else:
    Number = float | None  # null in JSON, which has no word for NaN; `check` makes NaN of it


class _GuardedMeta(msgspec.StructMeta):
    """Holds what the constructor is given to the fields' types; what decoders make does not come through here."""

    def __call__(cls, *args: object, **fields: object) -> object:
        made = super().__call__(*args, **fields)
        for name in cls.guards:  # type: ignore[attr-defined]
            setattr(made, name, getattr(made, name))
        return made


class _Guarded(Struct, metaclass=_GuardedMeta):
    """A Struct whose fields hold what is assigned to their types (see `assigned`)."""

    guards: ClassVar[Mapping[str, Callable[[str, object], object]]] = {}

    def __setattr__(self, name: str, value: object) -> None:
        convert = self.guards.get(name)
        super().__setattr__(name, value if convert is None else convert(f"{type(self).__name__}.{name}", value))


def _operands(field: str, value: Any) -> list[NamedScore]:
    operands = list(value)
    if not all(isinstance(each, NamedScore) for each in operands):
        raise TypeError(f"{field} takes a list of NamedScores")
    return operands


def _edges(field: str, value: object) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} takes a dict, not {type(value).__qualname__}")
    return dict(plain_dict(value, field))


def _adjacency(field: str, value: object) -> SparseNdArray | None:
    if value is None:
        return None
    sparse = value if isinstance(value, SparseNdArray) else ndarray.to_wire(value).sparse
    if sparse is UNSET:
        raise TypeError(f"{field} takes a sparse array, not {type(value).__qualname__}")
    ndarray.check(NdArray(sparse=sparse))
    return sparse


class NamedScore(_Guarded, rename="camel", forbid_unknown_fields=True):
    """How well something did, by one measure."""

    guards = {
        "value": assigned.number,
        "op_name": assigned.text,
        "description": assigned.text,
        "operands": _operands,
        "ref_id": assigned.name,
    }

    value: Number = 0.0
    """A float of 32 bits on the wire."""
    op_name: str = ""
    description: str = ""
    operands: list[NamedScore] = []
    ref_id: str = ""


class Graph(_Guarded, rename="camel", forbid_unknown_fields=True):
    """A graph over a document's chunks (GraphProto)."""

    guards = {
        "adjacency": _adjacency,
        "edge_features": _edges,
        "undirected": lambda field, value: bool(value),
    }

    adjacency: SparseNdArray | None = None
    edge_features: dict[str, Any] = {}
    undirected: bool = False


_any_score: Any = msgspec.StructMeta.__call__


def plain_score(value: float, *rest: object) -> NamedScore:
    """The `NamedScore` of values that are of the fields' types, without another look at them."""
    made: NamedScore = _any_score(NamedScore, value, *rest)
    return made


class NamedScores(GuardedDict[NamedScore]):
    """Scores by the name of their measure. A plain number put in becomes a `NamedScore`. One that is not there is made
    when it is looked at, so that its value can be set.
    """

    __slots__ = ()

    def __missing__(self, key: str) -> NamedScore:
        self[key] = made = NamedScore()
        return made

    def kept(self, key: object, value: object) -> NamedScore:
        if isinstance(value, NamedScore):
            return value
        return plain_score(assigned.number(repr(key), value))


class _Field(Generic[T]):
    """What the descriptors below share: the name of the field that they guard."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.slot = f"_{name}"

    @overload
    def __get__(self, document: None, owner: object = None) -> _Field[T]: ...
    @overload
    def __get__(self, document: Document, owner: object = None) -> T: ...
    def __get__(self, document: Document | None, owner: object = None) -> _Field[T] | T:
        return self if document is None else self.read(document)

    def read(self, document: Document) -> T:
        """The value of this field in *document*."""
        raise NotImplementedError


class Content(_Field[T]):
    """One of `CONTENTS`: setting it clears the others, if it is no empty value.

    :param wire: makes of a value what is kept.
    :param empty: how it reads where it is not the one that is set.
    """

    def __init__(self, doc: str, wire: Callable[[str, object], object], empty: T) -> None:
        super().__init__(doc)
        self.wire, self.empty = wire, empty

    def read(self, document: Document) -> T:
        value = getattr(document, self.slot)
        return self.empty if value is UNSET else value

    def __set__(self, document: Document, value: T | None) -> None:
        kept = UNSET if value is None else self.wire(f"Document.{self.slot[1:]}", value)
        if (kept is UNSET or kept == b"") and getattr(document, self.slot) is UNSET and document.content_type:
            return
        document._text = document._buffer = document._blob = document._uri = document._graph = UNSET
        setattr(document, self.slot, kept)


def a_graph(field: str, value: object) -> Graph:
    """A `Graph`, as `Content` asks for one."""
    if not isinstance(value, Graph):
        raise TypeError(f"{field} takes a Graph, not {type(value).__qualname__}")
    return value


def an_array(field: str, value: object) -> NdArray:
    """An array in the form that travels.

    :raises ValueError: if it is none of plain numbers; it names *field*.
    """
    try:
        return ndarray.to_wire(value)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{field}: {error}") from None


class Blob(Content[object]):
    """The content that is an array."""

    def read(self, document: Document) -> object:
        value: Any = document._blob
        return None if value is UNSET else ndarray.from_wire(value)


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
        try:
            fresh.extend(value or ())
        except TypeError as error:
            raise TypeError(f"Document.{self.slot[1:]}: {error}") from None
        setattr(document, self.slot, fresh)


class Scores(_Field[NamedScores]):
    """Scores by name."""

    def read(self, document: Document) -> NamedScores:
        value = getattr(document, self.slot)
        if not isinstance(value, NamedScores):
            value = NamedScores(value)
            setattr(document, self.slot, value)
        return value

    def __set__(self, document: Document, value: object) -> None:
        """They are put to those that there are."""
        fresh = NamedScores(getattr(document, self.slot))
        try:
            fresh.update(value or ())
        except (TypeError, ValueError) as error:
            raise type(error)(f"Document.{self.slot[1:]}: {error}") from None
        setattr(document, self.slot, fresh)
