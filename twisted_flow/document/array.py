"""A list of documents, and what can be done with all of them at once."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from math import prod
from typing import IO, TYPE_CHECKING, Any, ClassVar, SupportsIndex, overload

import numpy as np

from ..limits import Limits
from . import match, storage
from .ndarray import handed_over
from .paths import attribute
from .traversal import traversed

if TYPE_CHECKING:
    from typing import Self

    from .document import Document

__all__ = ["ChunkArray", "DocumentArray", "MatchArray"]


_MOST_EXPANDED = Limits().max_expanded
_item: Any = list.__getitem__


class DocumentArray(list["Document"]):
    """A list of documents, that is also reached by their ids.

    ``docs[0]``, ``docs[1:3]`` (a DocumentArray), ``docs['id']``, ``'id' in docs``, ``del docs['id']``.
    """

    __slots__ = ()
    document_type: ClassVar[type[Document]]

    def _position(self, id: str) -> int:
        for position, document in enumerate(self):
            if document._id == id:
                return position
        raise KeyError(id)

    @overload
    def __getitem__(self, key: SupportsIndex | str) -> Document: ...
    @overload
    def __getitem__(self, key: slice) -> DocumentArray: ...
    def __getitem__(self, key: SupportsIndex | str | slice) -> Document | DocumentArray:
        if isinstance(key, str):
            key = self._position(key)
        elif isinstance(key, slice):
            return DocumentArray(_item(self, key))
        found: Document = _item(self, key)
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._position(key) if isinstance(key, str) else key, value)

    def __delitem__(self, key: SupportsIndex | slice | str) -> None:
        super().__delitem__(self._position(key) if isinstance(key, str) else key)

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            return any(document._id == item for document in self)
        return super().__contains__(item)

    def __add__(self, other: Iterable[Document]) -> DocumentArray:  # type: ignore[override]
        return DocumentArray([*self, *other])

    def get_attributes(self, *names: str) -> list[Any]:
        """The values at the path *names[0]* of all documents; for several paths a list of such lists.

        ``tags__lang`` reads the tag ``lang``. See `Document.get_attributes`.
        """
        columns = [[attribute(document, name) for document in self] for name in names]
        return columns[0] if len(columns) == 1 else columns

    def get_attributes_with_docs(self, *names: str) -> tuple[list[object], DocumentArray]:
        """`get_attributes`, and the documents that the values are of."""
        return self.get_attributes(*names), DocumentArray(self)

    def sample(self, k: int, seed: int | None = None) -> DocumentArray:
        """*k* of these, chosen at random; with the same *seed* the same ones."""
        return DocumentArray(random.Random(seed).sample(list(self), k))

    @property
    def texts(self) -> list[str]:
        """The text of each document; settable from as many strings."""
        return [document.text for document in self]

    @texts.setter
    def texts(self, values: Iterable[str | None]) -> None:
        for document, value in self._paired(values):
            document.text = value

    @property
    def embeddings(self) -> Any:
        """The embeddings of all documents as one ndarray of shape (documents, ...); settable from such a one.

        :raises ValueError: if a document has none, or their shapes differ.
        """
        return self._stacked("embedding")

    @embeddings.setter
    def embeddings(self, values: object) -> None:
        for document, value in self._paired(_rows(values)):
            document.embedding = value

    @property
    def blobs(self) -> Any:
        """The blobs of all documents as one ndarray; settable. See `embeddings`."""
        return self._stacked("blob")

    @blobs.setter
    def blobs(self, values: object) -> None:
        for document, value in self._paired(_rows(values)):
            document.blob = value

    def _stacked(self, name: str) -> object:
        arrays = self.get_attributes(name)
        for document, array in zip(self, arrays, strict=True):
            if array is None:
                raise ValueError(f"document {document._id!r} has no {name}")
        shapes = [getattr(array, "shape", ()) for array in arrays]
        if any(hasattr(array, "toarray") for array in arrays) and sum(map(prod, shapes)) > _MOST_EXPANDED:
            raise ValueError(f"the {name}s of shape {list(shapes[0])} and more are too large to be made dense")
        return np.stack([np.asarray(getattr(a, "toarray", lambda a=a: a)()) for a in arrays]) if arrays else np.zeros(0)

    def _paired(self, values: Any) -> Iterator[tuple[Document, Any]]:
        values = values if hasattr(values, "__len__") else list(values)
        if len(values) != len(self):
            raise ValueError(f"{len(values)} values for {len(self)} documents")
        return zip(self, values, strict=True)

    def traverse(self, traversal_paths: str | Iterable[str]) -> Iterator[DocumentArray]:
        """The documents at *traversal_paths*: 'r' these, 'c' their chunks, 'm' their matches, 'cm' and so on; of each
        document that a path leads through in an array of their own.

        :param traversal_paths: such paths, in a list or with commas between.
        :raises ValueError: on any other letter.
        """
        for arrays in traversed(self, traversal_paths):
            yield from arrays

    def traverse_flat_per_path(self, traversal_paths: str | Iterable[str]) -> Iterator[DocumentArray]:
        """The documents at each of *traversal_paths*, in an array for each path. See `traverse`."""
        for arrays in traversed(self, traversal_paths):
            yield DocumentArray(document for reached in arrays for document in reached)

    def traverse_flat(self, traversal_paths: str | Iterable[str]) -> DocumentArray:
        """The documents at *traversal_paths*, in their order. See `traverse`."""
        return DocumentArray(document for reached in self.traverse(traversal_paths) for document in reached)

    def match(
        self,
        other: DocumentArray,
        *,
        limit: int = 20,
        metric: str | Callable[[object, object], object] = "cosine",
    ) -> None:
        """Give each document the nearest of *other* as its ``matches``, nearest first, with the distance in ``scores``.

        :param limit: how many matches at the most.
        :param metric: 'cosine', 'sqeuclidean', 'euclidean', or a function of two arrays of shapes (n, d) and (m, d)
            that returns the distances in an array of shape (n, m).
        :raises ValueError: on an unknown metric, or where embeddings are missing or do not fit.
        """
        match.match(self, other, limit, metric)

    def save(self, file: str | pathlib.Path | IO[str] | IO[bytes], file_format: str = "json") -> None:
        """Write all documents to *file*, or what is open as that: 'json', a document a line, or 'binary'."""
        storage.save(self, file, file_format)

    @classmethod
    def load(cls, file: str | pathlib.Path, file_format: str = "json") -> Self:
        """Read what `save` wrote.

        :raises ValueError: if that is not what the file holds.
        """
        return cls(storage.load(cls.document_type, pathlib.Path(file), file_format))

    def save_json(self, file: str | pathlib.Path | IO[str] | IO[bytes]) -> None:
        """See `save`."""
        self.save(file)

    def save_binary(self, file: str | pathlib.Path | IO[bytes]) -> None:
        """See `save`."""
        self.save(file, "binary")

    @classmethod
    def load_json(cls, file: str | pathlib.Path) -> Self:
        """See `load`."""
        return cls.load(file)

    @classmethod
    def load_binary(cls, file: str | pathlib.Path) -> Self:
        """See `load`."""
        return cls.load(file, "binary")


def _rows(values: object) -> object:
    """*values*, if they are an array: copied once, and then the rows of that."""
    return list(map(handed_over, np.array(values, order="C"))) if isinstance(values, np.ndarray) else values


class _Relatives(DocumentArray):
    """Documents that belong to one document, and learn so when they are added."""

    __slots__ = ("document",)
    document: Document

    @classmethod
    def of(cls, document: Document, members: Iterable[Document]) -> Self:
        """An array of the relatives of *document*: *members*, which are related already."""
        relatives = cls(members)
        relatives.document = document
        return relatives

    def adopted(self, member: Document, copy: bool = True, **fields: object) -> Document:
        """*member*, or a copy of it, with its relation and *fields* set.

        :raises TypeError: if it is no document.
        """
        if not isinstance(member, DocumentArray.document_type):
            raise TypeError(f"takes documents, not {type(member).__qualname__}")
        its = deepcopy(member) if copy else member
        self.relate(its)
        if not its._mime_type:
            its._mime_type = self.document._mime_type
        for name, value in fields.items():
            setattr(its, name, value)
        return its

    def relate(self, member: Document) -> None:
        """Set the fields of *member* that say how it is related."""
        raise NotImplementedError

    def append(self, member: Document, *, copy: bool = True, **fields: object) -> Document:  # type: ignore[override]
        """Add a copy of *member*; arrays that nobody has read yet are shared, not copied.

        :param copy: False: add the very object.
        :param fields: for what is added.
        :return: what has been added.
        """
        added = self.adopted(member, copy, **fields)
        super().append(added)
        return added

    def insert(self, position: SupportsIndex, member: Document, *, copy: bool = True) -> None:
        """See `append`."""
        super().insert(position, self.adopted(member, copy))

    def extend(self, members: Iterable[Document], *, copy: bool = True) -> None:
        """See `append`."""
        super().extend([self.adopted(member, copy) for member in list(members)])

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, list(map(self.adopted, value)) if isinstance(key, slice) else self.adopted(value))

    def __iadd__(self, members: Iterable[Document]) -> Self:  # type: ignore[override]
        self.extend(members)
        return self


class ChunkArray(_Relatives):
    """The chunks of one document."""

    __slots__ = ()

    def relate(self, member: Document) -> None:
        member._parent_id = self.document._id
        member._granularity = self.document._granularity + 1


class MatchArray(_Relatives):
    """The matches of one document."""

    __slots__ = ()

    def relate(self, member: Document) -> None:
        member._granularity = self.document._granularity
        member._adjacency = self.document._adjacency + 1
