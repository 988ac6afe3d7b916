"""Documents in a file: JSON, one a line, or a DocumentArrayProto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from . import plain
from .late import protobuf

if TYPE_CHECKING:
    import pathlib

    from .document import Document

__all__ = ["load", "save"]


def _known(file_format: str) -> None:
    if file_format not in ("json", "binary"):
        raise ValueError(f"the file format is 'json' or 'binary', not {file_format!r}")


def save(documents: Iterable[Document], file: pathlib.Path, file_format: str) -> None:
    """Write *documents*: as JSON, one a line, or binary."""
    _known(file_format)
    if file_format == "binary":
        file.write_bytes(protobuf().to_bytes(documents))
        return
    with file.open("wb") as out:
        for document in documents:
            out.write(plain.to_json(document) + b"\n")


def load(document_type: type[Document], file: pathlib.Path, file_format: str) -> Iterator[Document]:
    """Read what `save` wrote."""
    _known(file_format)
    if file_format == "binary":
        yield from protobuf().from_bytes(file.read_bytes())
        return
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield document_type.from_json(line)
