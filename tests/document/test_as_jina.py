"""What a program of Jina 2 assigns and reads."""

from __future__ import annotations

import copy
import pathlib
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given

from tests.documents import documents
from twisted_flow import Document, DocumentArray
from twisted_flow.codec import json, protobuf
from twisted_flow.limits import Limits
from twisted_flow.message import Header, Request


class TestReadingWhatIsNotSet:
    def test_empty(self) -> None:
        """Texts, bytes and URIs read as empty ones, all else as None; none of them is set by that."""
        document = Document()
        assert (document.text, document.buffer, document.uri) == ("", b"", "")
        assert document.blob is document.graph is document.embedding is document.content is None
        assert document.content_type is None
        document.text += "x"
        assert (document.content_type, document.text) == ("text", "x")
        assert DocumentArray([Document(), Document("a")]).texts == ["", "a"]

    def test_on_the_wire(self) -> None:
        """What is not set stays absent, and an empty text that is set is there."""
        for document, there in ((Document(id="a"), False), (Document(id="a", text=""), True)):
            document.text, document.buffer, document.uri  # noqa: B018 (to look at them sets nothing)
            assert ("text" in document.to_dict()) is there
            request = Request(
                request_id="r",
                header=Header("/"),
                docs=DocumentArray([document]),
                groundtruths=DocumentArray(),
                parameters={},
            )
            for codec in (json, protobuf):
                (read,) = codec.decode_request(codec.encode_request(request), None, Limits()).docs
                assert (read.content_type == "text") is there


class TestRelatives:
    def test_copies(self) -> None:
        """What is appended or assigned is a copy that learns its relation; the original learns nothing."""
        parent, child = (
            Document(id="p", mime_type="image/png", adjacency=2, granularity=1),
            Document(id="c", buffer=b"x"),
        )
        chunk = parent.chunks.append(child)
        match = parent.matches.append(child, scores={"m": 2}, weight=3)
        child.buffer = b"changed"
        assert (chunk.parent_id, chunk.granularity, chunk.adjacency, chunk.mime_type) == ("p", 2, 0, "image/png")
        assert (match.granularity, match.adjacency, match.weight, match.scores["m"].value) == (1, 3, 3, 2)
        assert chunk.buffer == match.buffer == b"x"
        assert chunk is parent.chunks[0]
        assert (child.parent_id, child.granularity, child.scores) == ("", 0, {})
        parent.chunks = [child, child]
        parent.chunks += [child]
        parent.chunks[0] = child
        assert len({id(each) for each in [*parent.chunks, child]}) == 4
        assert {each.parent_id for each in parent.chunks} == {"p"}

    def test_the_very_object(self) -> None:
        """``copy=False`` keeps it."""
        parent, child = Document(id="p"), Document(id="c")
        assert parent.matches.append(child, copy=False) is parent.matches[0] is child
        parent.chunks.extend([child], copy=False)
        parent.chunks.insert(0, child, copy=False)
        assert parent.chunks[0] is parent.chunks[1] is child

    def test_two_parents(self) -> None:
        """A document may be a chunk of several; each has its own."""
        one, other, chunk = Document(id="a"), Document(id="b"), Document(id="c")
        one.chunks.append(chunk)
        other.chunks.append(chunk)
        assert [each.chunks[0].parent_id for each in (one, other)] == ["a", "b"]

    def test_arrays_that_nobody_looked_at(self) -> None:
        """They are shared until somebody looks."""
        child = Document.from_protobuf(Document(embedding=np.zeros(1000)).to_protobuf())
        parent = Document()
        assert parent.chunks.append(child)._embedding.dense.buffer is child._embedding.dense.buffer  # type: ignore[union-attr]
        child.embedding[0] = 1
        assert parent.chunks[0].embedding[0] == 0

    def test_unknown_fields(self) -> None:
        """A field that there is not is named."""
        with pytest.raises(AttributeError):
            Document().chunks.append(Document(), wight=3)


class TestPaths:
    def test_of_a_document(self) -> None:
        """Keys of tags, scores and items; None where there is nothing."""
        document = Document("a", id="d", tags={"x": {"y": [1, {"z": 2}]}}, scores={"m": 42}, chunks=[Document("c")])
        assert document.get_attributes("text", "tags__x__y__1__z", "tags__n", "nothere") == ["a", 2, None, None]
        assert document.get_attributes("scores__m__value") == 42
        assert document.get_attributes("tags__x__y__0", "chunks__0__text") == [1, "c"]
        assert document.get_attributes("tags__x__y__9", "tags__q__r", "chunks__5__text") == [None, None, None]
        assert document.get_attributes("_id", "tags___x", "__class__") == [None, None, None]

    def test_of_many(self) -> None:
        """Of all documents, and with them."""
        docs = DocumentArray([Document("a", scores={"m": 1}), Document("b", tags={"l": "en"})])
        assert docs.get_attributes("text", "tags__l", "scores__m__value") == [["a", "b"], [None, "en"], [1, None]]
        contents, same = docs.get_attributes_with_docs("text")
        assert contents == ["a", "b"]
        assert [each.text for each in same] == ["a", "b"]
        assert "m" not in docs[1].scores

    def test_as_attributes(self) -> None:
        """A path is one, also one that leads nowhere; what is no path is an error, as ever."""
        document: Any = Document("a", tags={"x": {"y": [1, {"z": 2}]}}, scores={"m": 42}, chunks=[Document("c")])
        assert [document.tags__x__y__1__z, document.scores__m__value, document.chunks__0__text] == [2, 42, "c"]
        assert [document.tags__n, document.tags__x__q__r, document.nothere__x] == [None, None, None]
        for name in ("nothere", "_tags__x", "__array_interface__", "__len__"):
            with pytest.raises(AttributeError, match=f"'Document' object has no attribute '{name}'"):
                getattr(document, name)
        with pytest.raises(AttributeError):
            document.tags__x = 1
        twin = pickle.loads(pickle.dumps(document))
        assert [twin.tags__x, copy.deepcopy(document).tags__x] == [document.tags["x"]] * 2

    def test_traversal(self) -> None:
        """One array for each document that the path leads through, one for each path, or one for all."""
        docs = DocumentArray(
            [Document(id=f"{n}", chunks=[Document(id=f"{n}c", matches=[Document(id=f"{n}m")])]) for n in "ab"]
        )
        ids = lambda arrays: [[each.id for each in array] for array in arrays]  # noqa: E731
        assert ids(docs.traverse(["r", "c", "cm"])) == [["a", "b"], ["ac"], ["bc"], ["am"], ["bm"]]
        assert ids(docs.traverse_flat_per_path("r,cm")) == [["a", "b"], ["am", "bm"]]
        assert ids([docs.traverse_flat(traversal_paths=["cm", "r"])]) == [["am", "bm", "a", "b"]]
        with pytest.raises(ValueError, match="not 'x'"):
            docs.traverse_flat("x")
        assert len((docs + docs).traverse_flat("r")) == 4
        assert [each.id for each in docs.sample(2, seed=1)] == [each.id for each in docs.sample(2, seed=1)]


class TestConstructor:
    def test_of_another_document(self) -> None:
        """A copy of its own, or the very same objects."""
        first = Document("x", id="1", tags={"a": 1})
        copied, same = Document(first, copy=True), Document(first, weight=2)
        copied.text, copied.tags["a"] = "y", 2
        assert (first.text, first.tags["a"], copied.id) == ("x", 1, "1")
        assert (same.id, same.weight, first.weight) == ("1", 2, 0)

    def test_of_a_dict(self) -> None:
        """In either case; documents in documents; what is no field is a tag."""
        fields: dict[str, Any] = {
            "mimeType": "text/html",
            "parent_id": 4,
            "chunks": [{"text": "a"}],
            "scores": {"m": 1},
            "lang": "en",
            "tags": {"x": 1},
        }
        document = Document(fields)
        assert (document.mime_type, document.parent_id, document.chunks[0].text) == ("text/html", "4", "a")
        assert (document.scores["m"].value, document.tags) == (1, {"lang": "en", "x": 1})

    def test_two_contents(self) -> None:
        """One is taken."""
        for fields in ({"text": "a", "uri": "b"}, {"buffer": b"", "blob": [1]}, {"content": "a", "text": "b"}):
            with pytest.raises(ValueError, match="one content at most"):
                Document(**fields)
        with pytest.raises(ValueError, match="one content at most"):
            Document("a", uri="b")

    def test_mime_types(self) -> None:
        """A suffix is its type."""
        for suffix, meant in (
            ("jpg", "image/jpeg"),
            (".png", "image/png"),
            ("text/x", "text/x"),
            ("nonsense", "nonsense"),
            ("", ""),
        ):
            assert Document(mime_type=suffix).mime_type == meant

    def test_scores(self) -> None:
        """They are made when they are looked at, and put to those that there are."""
        document = Document(scores={"a": 5})
        document.scores["m"].value = 3
        document.scores = {"b": 1}
        assert {name: score.value for name, score in document.scores.items()} == {"a": 5, "m": 3, "b": 1}
        assert "x" not in document.scores

    @given(documents())
    def test_copies_are_equal(self, document: Document) -> None:
        """Whatever is in one."""
        assert Document(document, copy=True) == Document(document) == document


class TestForms:
    def test_as_a_program_names_fields(self) -> None:
        """``dict()``, ``json()``, ``non_empty_fields``, ``pop`` and ``update``."""
        document = Document("x", id="1", embedding=np.array([0, 1]), tags={"a": 1})
        assert document.non_empty_fields == ("embedding", "id", "mime_type", "tags", "text")
        assert document.dict(prettify_ndarrays=True)["embedding"] == [0, 1]
        assert msgspec.json.decode(Document("x", id="1").json()) == {"id": "1", "mime_type": "text/plain", "text": "x"}
        other = Document("y", id="2", tags={"b": 2})
        other.update(document)
        assert (other.id, other.text, other.tags) == ("1", "x", {"a": 1, "b": 2})
        other.update(Document("z", weight=3), fields=["weight"])
        assert (other.text, other.weight) == ("x", 3)
        document.pop("text", "tags")
        assert (document.text, document.tags, document.id) == ("", {}, "1")

    def test_files(self, tmp_path: pathlib.Path) -> None:
        """By name, or open already."""
        docs = DocumentArray([Document("ä", id="a"), Document("b", id="b")])
        with (tmp_path / "a.json").open("w", encoding="utf-8") as file:
            docs.save(file)
        with (tmp_path / "b.bin").open("wb") as raw:
            docs.save_binary(raw)
        docs.save_json(tmp_path / "c.json")
        read = [DocumentArray.load_json(tmp_path / "a.json"), DocumentArray.load_binary(tmp_path / "b.bin")]
        assert [*read, DocumentArray.load(tmp_path / "c.json")] == [docs] * 3
