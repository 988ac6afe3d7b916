"""One document, and the rules of its content."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from . import assigned, conversion, forms, paths, plain, spelling
from .array import ChunkArray, DocumentArray, MatchArray
from .assigned import guarded
from .constructor import DocumentMeta
from .copies import copied_one
from .fields import CONTENTS, Blob, Content, Count, Graph, NamedScore, Number, Relatives, Scores, a_graph, an_array
from .ndarray import NdArray, from_wire, handed_over
from .shown import shown
from .values import Tags

__all__ = ["Document", "Graph"]


_Said = dict[str, Any]
_Scores = dict[str, NamedScore]
_Memo = dict[int, object]


class Document(
    Struct, metaclass=DocumentMeta, rename=spelling.on_the_wire, forbid_unknown_fields=True, eq=False, weakref=True
):
    """The piece of data that executors work on.

    ``Document('hello')``, ``Document(text='hello', tags={'lang': 'en'})``, ``Document(embedding=array)``. It has at
    most one content: assigning one of *text*, *buffer*, *blob*, *uri* and *graph* clears the others.

    What is assigned is held to the type of its field, and is kept as it is then: an array is copied, unless nobody can
    write to it (see `take`).

    :param source: its content (a str, bytes, an array), another document, or a dict of fields, in which other keys are
        tags.
    :param copy: whether what another document holds is copied; else both hold the very same objects.
    :raises TypeError: on a field that there is not; the error names the nearest one.
    :raises ValueError: on two contents.
    """

    # The order is the wire's; the underscore says that a descriptor guards what programs assign.
    _id: str = ""
    _granularity: Count = 0
    _adjacency: Count = 0
    _parent_id: str = ""
    _text: str | UnsetType = UNSET
    _buffer: bytes | UnsetType = UNSET
    _blob: NdArray | list[Any] | UnsetType = UNSET
    _uri: str | UnsetType = UNSET
    _graph: Graph | UnsetType = UNSET
    _chunks: list[Document] = []
    _weight: Number = 0.0
    _matches: list[Document] = []
    _mime_type: str = ""
    _tags: _Said = {}
    _location: list[Count] = []
    _offset: Count = 0
    _embedding: NdArray | list[Any] | None = None
    _scores: _Scores = {}
    _modality: str = ""
    _evaluations: _Scores = {}

    id = guarded("_id", assigned.name, "Any non-empty string; a new one where none is given.")
    granularity = guarded("_granularity", assigned.count, "How many levels of chunks lie above this document.")
    adjacency = guarded("_adjacency", assigned.count, "How many steps of matching led to this document.")
    parent_id = guarded("_parent_id", assigned.name, "The id of the document that this one is a chunk of.")
    weight = guarded("_weight", assigned.number, "How much this document counts, in a float of 32 bits.")
    mime_type = guarded(
        "_mime_type",
        assigned.mime_type,
        "A file's suffix becomes its type. Where none is set it becomes ``text/plain`` when a text is assigned, and is "
        "guessed from a uri.",
    )
    location = guarded("_location", assigned.counts, "Where in its parent this document lies.")
    offset = guarded("_offset", assigned.count, "Where in its parent this document begins.")
    modality = guarded("_modality", assigned.text, "What kind of data this is, such as 'image'.")

    buffer = Content[bytes]("The content as bytes; b'' if that is not what it is.", assigned.octets, b"")
    graph = Content[Graph | None]("The content as a graph, if that is what it is.", a_graph, None)
    blob = Blob("The content as an ndarray, if that is what it is. See `embedding`.", an_array, None)
    chunks = Relatives(ChunkArray, "The parts of this document. What is added is a copy, which learns its parent.")
    matches = Relatives(MatchArray, "What was found for this document. What is added is a copy.")
    scores = Scores("Scores by name; a number put in becomes a `NamedScore`, and one that is looked at is made.")
    evaluations = Scores("Evaluations by name. See `scores`.")

    if TYPE_CHECKING:

        def __init__(
            self,
            source: object = None,
            /,
            *,
            copy: bool = False,
            id: str | int = "",
            text: str | None = None,
            buffer: bytes | None = None,
            blob: object = None,
            uri: str | None = None,
            graph: Graph | None = None,
            content: object = None,
            chunks: object = None,
            matches: object = None,
            embedding: object = None,
            tags: _Said | None = None,
            scores: object = None,
            evaluations: object = None,
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
    def text(self) -> str:
        """The content as text; '' if that is not what it is (see `content_type`)."""
        text = self._text
        return "" if text is UNSET else text

    @text.setter
    def text(self, value: str | None) -> None:
        if type(value) is not str and value is not None:
            value = assigned.text("Document.text", value)
        alone = self._buffer is self._blob is self._uri is self._graph is UNSET  # looking is faster than setting
        if not alone:  # also beside a text: other servers' may have both
            if not value:
                return
            self._buffer = self._blob = self._uri = self._graph = UNSET
        self._text = UNSET if value is None else value
        if value is not None and not self._mime_type:
            self._mime_type = "text/plain"

    @property
    def tags(self) -> _Said:
        """Any further fields, in JSON's types; see `values` for how other types are converted."""
        tags = self._tags
        if type(tags) is not Tags:
            tags = self._tags = Tags(tags)
        return tags

    @tags.setter
    def tags(self, value: Mapping[Any, object] | None) -> None:
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"Document.tags takes a dict, not {type(value).__qualname__}")
        tags = Tags()
        tags.update(value or ())
        self._tags = tags

    @property
    def uri(self) -> str:
        """Where the content lies, if it is elsewhere (or a data URI); else ''."""
        return "" if self._uri is UNSET else self._uri

    @uri.setter
    def uri(self, value: str | None) -> None:
        value = None if value is None else assigned.path("Document.uri", value)
        if not value and self._uri is UNSET and self.content_type:
            return
        stale = self._text is not UNSET and self._mime_type == "text/plain"  # the type of a text that is gone
        self._text = self._buffer = self._blob = self._graph = UNSET
        self._uri = UNSET if value is None else value
        if value and (stale or not self._mime_type):
            self._mime_type = mimetypes.guess_type(value)[0] or ""

    @property
    def embedding(self) -> Any:
        """An ndarray (a sparse one as scipy's, or `SparseArray`), writable: a change in place counts.

        Takes whatever numpy makes an array of plain numbers of, scipy's sparse matrices, and None.
        """
        array: Any = self._embedding
        return None if array is None else from_wire(array)

    @embedding.setter
    def embedding(self, value: object) -> None:
        self._embedding = None if value is None else an_array("Document.embedding", value)

    @staticmethod
    def take(array: object) -> NdArray:
        """*array*, for an assignment without a copy: the caller must not write to it any more.

        ``document.embedding = Document.take(array)``
        """
        return handed_over(array)

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
    def content(self, value: object) -> None:
        if isinstance(value, str):
            self.text = value
        elif isinstance(value, bytes | bytearray | memoryview):
            self.buffer = bytes(value)
        elif isinstance(value, Graph):
            self.graph = value
        elif isinstance(value, Real):
            raise TypeError(f"Document.content takes a str, bytes, a Graph or an array, not {type(value).__qualname__}")
        else:
            self.blob = value

    def get_attributes(self, *names: str) -> Any:
        """The value at the path *names[0]*, such as 'text', 'tags__lang' or 'scores__m__value'; None where there is
        none. Of several a list. A path is an attribute too: ``document.tags__lang``. (On Python 3.11 that takes 17
        ns from each look at a field, from 3.12 on nothing.)
        """
        return paths.attributes(self, *names)

    if not TYPE_CHECKING:  # to a type checker a misspelt field is an error

        def __getattr__(self, name: str) -> object:
            """The value at the path *name*, which has two underscores in it: see `get_attributes`."""
            if "__" in name and name[0] != "_":
                return paths.attribute(self, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, arrays by dtype, shape and bytes."""
        if not isinstance(other, Document):
            return NotImplemented
        return self is other or plain.to_builtins(self) == plain.to_builtins(other)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """All that is set; long texts are cut short, arrays shown by dtype and shape."""
        return shown(self)

    def __copy__(self) -> Document:
        """A document with the very same objects in its fields, but for its lists of chunks and matches."""
        twin = cast(Document, super().__copy__())  # type: ignore[misc]
        twin._chunks, twin._matches = list(self._chunks), list(self._matches)
        return twin

    def __deepcopy__(self, memo: _Memo) -> Document:
        """A document of its own, down to the arrays."""
        return copied_one(self)

    def __reduce__(self) -> tuple[object, ...]:
        return _from_bytes, (plain.to_bytes(self), type(self))

    dict = forms.as_dict  # from here on the name is not the builtin's
    json = forms.as_json
    non_empty_fields = property(forms.non_empty_fields)
    content_hash = property(forms.content_hash)
    pop = forms.pop
    update = forms.update
    to_dict = forms.to_dict
    to_json = forms.to_json
    to_protobuf = forms.to_protobuf
    from_dict = classmethod(forms.from_dict)
    from_json = classmethod(forms.from_json)
    from_protobuf = classmethod(forms.from_protobuf)

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


def _from_bytes(packed: bytes, kind: type[Document] = Document) -> Document:
    return msgspec.msgpack.decode(packed, type=kind)


DocumentArray.document_type = Document
