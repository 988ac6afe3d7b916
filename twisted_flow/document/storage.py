"""Documents in a file: JSON, one a line, or a DocumentArrayProto."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, cast

from . import plain
from .late import protobuf

if TYPE_CHECKING:
    from .document import Document

__all__ = ["load", "save"]


def _known(file_format: str) -> None:
    if file_format not in ("json", "binary"):
        raise ValueError(f"the file format is 'json' or 'binary', not {file_format!r}")


def save(documents: Iterable[Document], file: str | pathlib.Path | IO[str] | IO[bytes], file_format: str) -> None:
    """Write *documents*: as JSON, one a line, or binary."""
    _known(file_format)
    if isinstance(file, str | pathlib.Path):
        with pathlib.Path(file).open("wb") as out:
            _write(documents, out.write, file_format)
    elif isinstance(file, io.TextIOBase):
        _write(documents, lambda line: file.write(line.decode()), file_format)
    else:
        _write(documents, cast("IO[bytes]", file).write, file_format)


def _write(documents: Iterable[Document], write: Callable[[bytes], object], file_format: str) -> None:
    if file_format == "binary":
        write(protobuf().to_bytes(documents))
        return
    for document in documents:
        write(plain.to_json(document) + b"\n")


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
