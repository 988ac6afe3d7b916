"""One document, and the rules of its content."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ..suggestion import nearest
from . import conversion, plain, spelling
from .array import ChunkArray, DocumentArray, MatchArray
from .check import complete_one
from .copies import copied_one
from .fields import CONTENTS, Blob, Content, NamedScore, Relatives, Scores
from .identity import new_id
from .late import protobuf
from .ndarray import NdArray, SparseNdArray, from_wire, to_wire
from .shown import shown

__all__ = ["Document", "Graph"]


Count = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""What protobuf has 32 bits for."""


class Graph(Struct, rename="camel", forbid_unknown_fields=True):
    """A graph over a document's chunks (GraphProto)."""

    adjacency: SparseNdArray | None = None
    edge_features: dict[str, Any] = {}
    undirected: bool = False


class _DocumentMeta(msgspec.StructMeta):
    """Gives `Document` a constructor of its own: a Struct has none, and decoding does not come through here."""

    def __call__(cls, source: Any = None, /, **fields: Any) -> Any:
        document = super().__call__()
        if isinstance(source, dict):
            fields = {**source, **fields}
        elif source is not None:
            fields = {"content": source, **fields}
        document.id = fields.pop("id", None) or new_id()
        for name, value in fields.items():
            if name not in _SETTABLE:
                raise TypeError(f"a Document has no field {name!r}{nearest(name, _SETTABLE)}")
            if value is not None:
                setattr(document, name, value)
        return document


class Document(
    Struct, metaclass=_DocumentMeta, rename=spelling.on_the_wire, forbid_unknown_fields=True, eq=False, weakref=True
):
    """The piece of data that executors work on.

    ``Document('hello')``, ``Document(text='hello', tags={'lang': 'en'})``, ``Document(embedding=array)``. It has at
    most one content: assigning one of *text*, *buffer*, *blob*, *uri* and *graph* clears the others.

    :param source: its content (a str, bytes, an array), or a dict of fields.
    :raises TypeError: on a field that there is not; the error names the nearest one.
    """

    # The order is the wire's; an underscore marks what a descriptor guards.
    id: str = ""
    """Any non-empty string; a new one where none is given."""
    granularity: Count = 0
    """How many levels of chunks this document lies below its root."""
    adjacency: Count = 0
    """How many steps of matching led to this document."""
    parent_id: str = ""
    _text: str | UnsetType = UNSET
    _buffer: bytes | UnsetType = UNSET
    _blob: NdArray | list[Any] | UnsetType = UNSET
    _uri: str | UnsetType = UNSET
    _graph: Graph | UnsetType = UNSET
    _chunks: list[Document] = []
    weight: float = 0.0
    _matches: list[Document] = []
    mime_type: str = ""
    """Becomes ``text/plain`` when a text is assigned, and is guessed from a uri, where none is set."""
    tags: dict[str, Any] = {}
    """Whatever else there is to say, in what JSON can say."""
    location: list[Count] = []
    offset: Count = 0
    _embedding: NdArray | list[Any] | None = None
    _scores: dict[str, NamedScore] = {}
    modality: str = ""
    _evaluations: dict[str, NamedScore] = {}

    buffer = Content[bytes]("The content as bytes, if that is what it is.")
    graph = Content[Graph]("The content as a graph, if that is what it is.")
    blob = Blob("The content as an ndarray, if that is what it is. See `embedding`.")
    chunks = Relatives(ChunkArray, "The parts of this document. What is added learns its parent and granularity.")
    matches = Relatives(MatchArray, "What was found for this document. What is added learns its adjacency.")
    scores = Scores("Scores by name; a plain number put in becomes a `NamedScore`.")
    evaluations = Scores("Evaluations by name; a plain number put in becomes a `NamedScore`.")

    if TYPE_CHECKING:

        def __init__(
            self,
            source: Any = None,
            /,
            *,
            id: str = "",
            text: str | None = None,
            buffer: bytes | None = None,
            blob: Any = None,
            uri: str | None = None,
            graph: Graph | None = None,
            content: Any = None,
            chunks: Any = None,
            matches: Any = None,
            embedding: Any = None,
            tags: dict[str, Any] | None = None,
            scores: Any = None,
            evaluations: Any = None,
            mime_type: str = "",
            modality: str = "",
            weight: float = 0.0,
            granularity: int = 0,
            adjacency: int = 0,
            parent_id: str = "",
            location: list[int] | None = None,
            offset: int = 0,
        ) -> None: ...

    @property
    def text(self) -> str | None:
        """The content as text, if that is what it is."""
        text = self._text
        return None if text is UNSET else text

    @text.setter
    def text(self, value: str | None) -> None:
        alone = self._buffer is self._blob is self._uri is self._graph is UNSET  # looking is faster than setting
        if not alone:  # also beside a text: other servers' may have both
            self._buffer = self._blob = self._uri = self._graph = UNSET
        self._text = UNSET if value is None else value
        if value is not None and not self.mime_type:
            self.mime_type = "text/plain"

    @property
    def uri(self) -> str | None:
        """Where the content lies, if it is elsewhere (or a data URI)."""
        return None if self._uri is UNSET else self._uri

    @uri.setter
    def uri(self, value: str | None) -> None:
        self._text = self._buffer = self._blob = self._graph = UNSET
        self._uri = UNSET if value is None else value
        if value is not None and not self.mime_type:
            self.mime_type = mimetypes.guess_type(value)[0] or ""

    @property
    def embedding(self) -> Any:
        """An ndarray (a sparse one as scipy's, or `SparseArray`), writable: a change in place counts.

        Takes whatever numpy makes an array of plain numbers of, scipy's sparse matrices, and None.
        """
        array: Any = self._embedding
        return None if array is None else from_wire(array)

    @embedding.setter
    def embedding(self, value: Any) -> None:
        self._embedding = None if value is None else to_wire(value)

    @property
    def content_type(self) -> str | None:
        """Which content is set: 'text', 'buffer', 'blob', 'uri', 'graph' or None."""
        return next((name for name in CONTENTS if getattr(self, f"_{name}") is not UNSET), None)

    @property
    def content(self) -> Any:
        """The content, whichever is set. Assigning a str, bytes, a `Graph` or an array finds its own kind."""
        name = self.content_type
        return None if name is None else getattr(self, name)

    @content.setter
    def content(self, value: Any) -> None:
        if isinstance(value, str):
            self.text = value
        elif isinstance(value, bytes | bytearray | memoryview):
            self.buffer = bytes(value)
        elif isinstance(value, Graph):
            self.graph = value
        else:
            self.blob = value

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, arrays by dtype, shape and bytes."""
        if not isinstance(other, Document):
            return NotImplemented
        return self is other or plain.to_builtins(self) == plain.to_builtins(other)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """What it says, for who prints it: long texts are cut short, arrays told by dtype and shape."""
        return shown(self)

    def __copy__(self) -> Document:
        """A document with the very same objects in its fields, but for its lists of chunks and matches."""
        twin = cast(Document, super().__copy__())  # type: ignore[misc]
        twin._chunks, twin._matches = list(self._chunks), list(self._matches)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Document:
        """A document of its own, down to the arrays."""
        return copied_one(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_bytes, (plain.to_bytes(self),)

    def to_dict(self) -> dict[str, Any]:
        """All fields under their JSON names, in what JSON can say."""
        return cast(dict[str, Any], plain.to_builtins(self))

    def to_json(self) -> str:
        """The document as it stands in an answer over HTTP."""
        return plain.to_json(self).decode()

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Document:
        """The document that *fields* describe, in any spelling that HTTP takes.

        :raises ValidationError: naming the field that is wrong.
        """
        try:
            document = msgspec.convert(spelling.canonical_document(fields, cls.__struct_encode_fields__), cls)
        except msgspec.ValidationError as wrong:
            raise spelling.located(wrong, fields) from None
        complete_one(document, "")
        return document

    @classmethod
    def from_json(cls, text: str | bytes) -> Document:
        """The document that JSON describes. See `from_dict`.

        :raises ValueError: if that is not JSON.
        """
        return cls.from_dict(msgspec.json.decode(text, type=dict[str, Any]))

    def to_protobuf(self) -> Any:
        """The document as a ``jina.DocumentProto``."""
        return protobuf().to_message(self)

    @classmethod
    def from_protobuf(cls, proto: Any) -> Document:
        """The document that a ``jina.DocumentProto`` describes.

        :raises ValidationError: naming the field that is wrong.
        """
        document = cast(Document, protobuf().from_message(proto))
        complete_one(document, "")
        return document

    convert_uri_to_buffer = conversion.uri_to_buffer
    convert_uri_to_text = conversion.uri_to_text
    convert_uri_to_data_uri = conversion.uri_to_data_uri
    convert_buffer_to_uri = conversion.buffer_to_uri
    convert_buffer_to_text = conversion.buffer_to_text
    convert_buffer_to_blob = conversion.buffer_to_blob
    convert_blob_to_buffer = conversion.blob_to_buffer
    convert_text_to_buffer = conversion.text_to_buffer
    convert_text_to_uri = conversion.text_to_uri
    convert_content_to_uri = conversion.content_to_uri


def _from_bytes(packed: bytes) -> Document:
    return msgspec.msgpack.decode(packed, type=Document)


_SETTABLE = {name.lstrip("_") for name in Document.__struct_fields__} | {"content"}
DocumentArray.document_type = Document
