"""Content, from one kind into another."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from twisted_flow import Document


def test_text_round_trip() -> None:
    """Text to bytes, to a data URI, and back."""
    document = Document(text="grüße")
    document.convert_text_to_buffer()
    assert document.buffer == "grüße".encode()
    document.convert_buffer_to_text()
    document.convert_text_to_uri(base64=True)
    assert (document.uri or "").startswith("data:text/plain;charset=utf-8;base64,")
    document.convert_uri_to_text()
    assert document.text == "grüße"
    document.convert_text_to_uri()
    document.convert_uri_to_buffer()
    assert document.buffer == "grüße".encode()


def test_blob_round_trip() -> None:
    """Arrays to bytes and back."""
    document = Document(blob=np.arange(6, dtype="uint8"))
    document.convert_blob_to_buffer()
    document.convert_buffer_to_blob("uint8", count=2, offset=3)
    assert document.blob.tolist() == [3, 4]
    document.blob = np.array([0.5, 2.0])
    document.convert_blob_to_buffer()
    document.convert_buffer_to_blob()
    assert document.blob.tolist() == [0.5, 2.0]


def test_file(tmp_path: pathlib.Path) -> None:
    """A path is read."""
    (tmp_path / "a.txt").write_text("hello")
    document = Document(uri=str(tmp_path / "a.txt"))
    document.convert_uri_to_data_uri(base64=True)
    assert document.uri == "data:text/plain;base64,aGVsbG8="
    document.convert_content_to_uri()
    assert document.uri == "data:text/plain;base64,aGVsbG8="


def test_content_to_uri() -> None:
    """Text and bytes find their way; nothing does not."""
    for content in ("a", b"a"):
        document = Document(content)
        document.convert_content_to_uri()
        assert document.content_type == "uri"
    with pytest.raises(ValueError, match="neither"):
        Document().convert_content_to_uri()


def test_nothing_to_convert() -> None:
    """A conversion of what is not there says so."""
    with pytest.raises(ValueError, match="no uri"):
        Document("a").convert_uri_to_text()
    with pytest.raises(ValueError, match="no blob"):
        Document("a").convert_blob_to_buffer()
