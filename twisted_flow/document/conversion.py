"""Turning a document's content from one kind into another, in place. Each function is a method of `Document`."""

from __future__ import annotations

import base64
import pathlib
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .document import Document

__all__ = [
    "blob_to_buffer",
    "buffer_to_blob",
    "buffer_to_text",
    "buffer_to_uri",
    "content_to_uri",
    "text_to_buffer",
    "text_to_uri",
    "uri_to_buffer",
    "uri_to_data_uri",
    "uri_to_text",
]

_TIMEOUT = 30.0  # seconds for fetching a uri


def _needed(document: Document, kind: str) -> None:
    if document.content_type != kind:
        raise ValueError(f"the document has no {kind}")


def _read(uri: str) -> bytes:
    if urllib.parse.urlsplit(uri).scheme in ("http", "https", "data"):
        with urllib.request.urlopen(uri, timeout=_TIMEOUT) as reply:
            return bytes(reply.read())
    return pathlib.Path(uri).read_bytes()


def _data_uri(mime_type: str, content: bytes, charset: str, as_base64: bool) -> str:
    head = mime_type + (f";charset={charset}" if charset else "") + (";base64" if as_base64 else "")
    return f"data:{head}," + (
        base64.b64encode(content).decode() if as_base64 else urllib.parse.quote_from_bytes(content)
    )


def uri_to_buffer(document: Document) -> None:
    """Read what the uri names (a path, ``http:``, ``https:`` or ``data:``) into *buffer*.

    :raises OSError: if it cannot be read.
    """
    _needed(document, "uri")
    document.buffer = _read(document.uri)


def uri_to_text(document: Document, charset: str = "utf-8") -> None:
    """Read what the uri names into *text*."""
    uri_to_buffer(document)
    buffer_to_text(document, charset)


def uri_to_data_uri(document: Document, charset: str = "", base64: bool = False) -> None:
    """Read what the uri names and keep it in *uri* itself, as a data URI."""
    uri_to_buffer(document)
    buffer_to_uri(document, charset, base64)


def buffer_to_uri(document: Document, charset: str = "", base64: bool = False) -> None:
    """Keep *buffer* in *uri*, as a data URI of the document's mime type."""
    _needed(document, "buffer")
    document.uri = _data_uri(document.mime_type, document.buffer, charset, base64)


def buffer_to_text(document: Document, charset: str = "utf-8") -> None:
    """Read *buffer* as text.

    :raises UnicodeDecodeError: if it is none.
    """
    _needed(document, "buffer")
    document.text = document.buffer.decode(charset)


def buffer_to_blob(document: Document, dtype: str = "float64", count: int = -1, offset: int = 0) -> None:
    """Read *buffer* as an array of one dimension; *count* numbers (-1: all) from *offset* (in bytes) on."""
    _needed(document, "buffer")
    document.blob = np.frombuffer(document.buffer, dtype, count, offset)


def blob_to_buffer(document: Document) -> None:
    """Keep the bytes of *blob*, row by row, in *buffer*."""
    _needed(document, "blob")
    document.buffer = np.asarray(document.blob).tobytes()


def text_to_buffer(document: Document, charset: str = "utf-8") -> None:
    """Keep *text* as bytes."""
    _needed(document, "text")
    document.buffer = document.text.encode(charset)


def text_to_uri(document: Document, charset: str = "utf-8", base64: bool = False) -> None:
    """Keep *text* in *uri*, as a data URI."""
    _needed(document, "text")
    document.uri = _data_uri(document.mime_type, document.text.encode(charset), charset, base64)


def content_to_uri(document: Document) -> None:
    """Keep a text or a buffer in *uri*, as a data URI; a uri stays as it is."""
    content = document.content_type
    if content == "text":
        text_to_uri(document)
    elif content == "buffer":
        buffer_to_uri(document, base64=True)
    elif content != "uri":
        raise ValueError("the document has neither text nor buffer nor uri")
