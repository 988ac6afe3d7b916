"""Documents as protobuf: written by hand (`write`), read by hand where they are plain (`quick`), or else by protobuf.

What is here is what `Document` and `DocumentArray` themselves offer of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..document import Document
from .descriptor import message
from .read import DocumentProto, read_messages
from .wire import tags_of
from .write import write_document, write_documents

__all__ = ["from_bytes", "from_message", "to_bytes", "to_message"]

_DocumentArrayProto = message("jina.DocumentArrayProto")
_DOCS = tags_of("jina.DocumentArrayProto")["docs"]


def to_message(document: Document) -> object:
    """*document* as a ``jina.DocumentProto``. See `write.write_document`."""
    return DocumentProto.FromString(write_document(document))


def from_message(proto: object) -> Document:
    """The document that *proto*, a ``jina.DocumentProto``, describes; not yet held to the rules."""
    return read_messages([proto])[0]


def to_bytes(documents: Iterable[Document]) -> bytes:
    """*documents* as a ``jina.DocumentArrayProto``. See `write.write_document`."""
    return b"".join(write_documents(_DOCS, documents)[0])


def from_bytes(body: bytes) -> list[Document]:
    """The documents of a ``jina.DocumentArrayProto``; not yet held to the rules.

    :raises DecodeError: if *body* is none.
    """
    return read_messages(_DocumentArrayProto.FromString(body).docs)
