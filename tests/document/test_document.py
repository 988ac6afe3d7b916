"""Documents as Python sees them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from twisted_flow import Document
from twisted_flow.codec.json import decode_response
from twisted_flow.document import Graph, NamedScore, SparseArray
from twisted_flow.document.ndarray import NdArray
from twisted_flow.errors import ValidationError


class TestShown:
    def test_what_it_says(self) -> None:
        """By the names that users know, and no longer than a screen."""
        document = Document(id="a", text="x" * 1000, embedding=np.zeros(3, "<f4"), tags={"n": 1})
        document.chunks = [Document("b"), Document("c")]
        assert repr(document) == (
            f"Document(id='a', text='{'x' * 37}...{'x' * 38}', chunks=<2 documents>, mime_type='text/plain', "
            "tags={'n': 1}, embedding=<array <f4 (3,)>)"
        )
        assert repr(Document(id="a")) == "Document(id='a')"

    def test_arrays(self) -> None:
        """Sparse ones, and those that are none."""
        sparse = SparseArray(np.array([[0, 1]]), np.array([1.0]), (2, 2))
        assert repr(Document(id="a", blob=sparse)) == "Document(id='a', blob=<sparse array <f8 (2, 2)>)"
        none = Document(id="a")
        none._blob = NdArray()
        assert repr(none) == "Document(id='a', blob=<no array>)"


class TestContent:
    def test_one_at_a_time(self) -> None:
        """Assigning one kind of content clears the others."""
        document = Document(text="a")
        for name, value in {"buffer": b"b", "uri": "c", "graph": Graph(), "blob": np.zeros(2), "text": "d"}.items():
            setattr(document, name, value)
            others = {"text", "buffer", "uri", "graph", "blob"} - {name}
            assert document.content_type == name
            assert not any(getattr(document, other) for other in others)

    def test_one_of_two(self) -> None:
        """Another server's document may have two contents; what is assigned is the only one then."""
        answer = b'{"data": {"docs": [{"id": "a", "text": "x", "buffer": "eA=="}]}}'
        for name, value in {"text": "y", "uri": "z"}.items():
            (document,) = decode_response(answer).docs
            setattr(document, name, value)
            assert [each for each in ("text", "buffer", "uri") if getattr(document, each)] == [name]

    def test_content_finds_its_kind(self) -> None:
        """``content`` sets the field that fits."""
        for value, name in (("a", "text"), (b"a", "buffer"), (np.ones(3), "blob"), (Graph(), "graph")):
            assert Document(value).content_type == name
        assert Document("a").content == "a"
        assert Document().content is None

    def test_none_clears(self) -> None:
        """Assigning None leaves no content."""
        document = Document(text="a")
        document.text = None
        assert document.content_type is None

    def test_mime_type(self) -> None:
        """A text is text/plain and a uri's type is guessed, unless one is set."""
        assert Document(text="a").mime_type == "text/plain"
        assert Document(uri="a.png").mime_type == "image/png"
        assert Document(text="a", mime_type="text/html").mime_type in ("text/html", "text/plain")
        document = Document(mime_type="text/html")
        document.text = "a"
        assert document.mime_type == "text/html"

    def test_decoding_sets_no_mime_type(self) -> None:
        """What came over the wire stays as it came."""
        assert Document.from_json('{"text": "a"}').mime_type == ""


class TestConstructor:
    def test_misspelt(self) -> None:
        """A field that there is not is told, with the one that was meant."""
        with pytest.raises(TypeError, match="'txet'; did you mean 'text'"):
            Document(txet="a")  # type: ignore[call-arg]

    def test_ids(self) -> None:
        """Each document has an id of 32 hexadecimal digits, or the one that is given."""
        ids = {Document().id for _ in range(500)}
        assert len(ids) == 500
        assert all(len(id) == 32 and int(id, 16) >= 0 for id in ids)
        assert Document(id="x").id == "x"

    def test_dict(self) -> None:
        """A dict of fields will do."""
        assert Document({"text": "a", "tags": {"b": 1}}).tags == {"b": 1}


class TestArrays:
    @pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "<f2", "<i8", "|u1", "|b1", "<c8"])
    @pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
    def test_dtype_and_shape_stay(self, dtype: str, shape: tuple[int, ...]) -> None:
        """An array reads as what was assigned."""
        array = np.ones(shape, dtype)
        document = Document(embedding=array, blob=array)
        for read in (document.embedding, document.blob, Document.from_json(document.to_json()).embedding):
            assert read.dtype == array.dtype
            assert read.shape == shape
            assert (read == array).all()

    def test_change_in_place_counts(self) -> None:
        """What is read is writable, and a change in it travels; also where the bytes came over the wire."""
        document = Document.from_json(Document(embedding=np.zeros(3)).to_json())
        document.embedding[1] = 5
        assert Document.from_json(document.to_json()).embedding.tolist() == [0, 5, 0]

    def test_one_array(self) -> None:
        """However often it is read it is the same memory; of an array that may not be written to it is a copy."""
        array = np.zeros(3)
        document = Document(embedding=array)
        assert np.shares_memory(document.embedding, document.embedding)
        assert not np.shares_memory(document.embedding, array)
        assert np.shares_memory(Document(embedding=Document.take(array)).embedding, array)
        for came in (Document.from_json(document.to_json()), Document.from_protobuf(document.to_protobuf())):
            came.embedding[0] = 1
            came.embedding.setflags(write=False)
            came.embedding.shape = (3, 1)
            assert (came.embedding.shape, came.embedding.flags.writeable) == ((3,), True)
            assert np.shares_memory(came.embedding, came.embedding)
            assert Document.from_protobuf(came.to_protobuf()).embedding.tolist() == [1, 0, 0]
        array.flags.writeable = False
        document = Document(embedding=array)
        document.embedding[0] = 1
        assert (array[0], document.embedding[0]) == (0, 1)
        document.embedding = np.ones(2)
        assert document.embedding.tolist() == [1, 1]

    def test_lists(self) -> None:
        """Nested lists of numbers become arrays: of float64, or int64 where all are whole."""
        assert Document(embedding=[1, 2]).embedding.dtype == np.int64
        assert Document(embedding=[[1.5], [2]]).embedding.shape == (2, 1)

    def test_slices_are_not_contiguous(self) -> None:
        """A view with gaps travels as its values."""
        assert Document(embedding=np.arange(6)[::2]).embedding.tolist() == [0, 2, 4]

    def test_not_numbers(self) -> None:
        """Arrays of anything else are refused."""
        for bad in (["a"], [object()], [[1], [1, 2]]):
            with pytest.raises(ValueError, match="array"):
                Document(embedding=bad)

    def test_sparse(self) -> None:
        """A sparse array reads as one, with or without scipy."""
        sparse = SparseArray(np.array([[0, 1, 0]]), np.array([2.5]), (2, 3, 4))
        read = Document.from_json(Document(embedding=sparse).to_json()).embedding
        assert isinstance(read, SparseArray)
        assert read.toarray()[0, 1, 0] == 2.5

    def test_quantization(self) -> None:
        """Arrays that the old system quantized read as what they were."""
        small = {"buffer": "AAE=", "shape": [2], "dtype": "|u1", "quantization": "UINT8", "scale": 2.0, "min_val": 1.0}
        document = Document.from_dict({"embedding": {"dense": {**small, "original_dtype": "<f4"}}})
        assert document.embedding.tolist() == [1.0, 3.0]
        half = {"buffer": "ADw=", "shape": [1], "dtype": "<f2", "quantization": 1, "originalDtype": "<f4"}
        assert Document.from_dict({"embedding": {"dense": half}}).embedding.dtype == np.float32


class TestRelatives:
    def test_chunks_know_their_parent(self) -> None:
        """A chunk learns whose it is, and how deep."""
        document = Document(id="p", granularity=1)
        document.chunks.append(Document("c"))
        document.chunks += [Document("d")]
        document.chunks.insert(0, Document("e"))
        assert {(chunk.parent_id, chunk.granularity) for chunk in document.chunks} == {("p", 2)}

    def test_matches_know_their_distance(self) -> None:
        """A match lies one step farther than what it matches."""
        assert Document(adjacency=2, matches=[Document()]).matches[0].adjacency == 3

    def test_scores(self) -> None:
        """A number put into scores is a NamedScore."""
        document = Document(scores={"a": 1})
        document.scores["b"] = 0.5
        document.evaluations["c"] = NamedScore(2, op_name="x")
        assert [document.scores[name].value for name in "ab"] == [1, 0.5]
        again = Document.from_json(document.to_json())
        assert again.evaluations["c"].op_name == "x"


class TestCopies:
    def make(self) -> Document:
        return Document(text="a", embedding=np.arange(3), tags={"a": {"b": 1}}, chunks=[Document("c")], scores={"s": 1})

    def test_equal(self) -> None:
        """Documents are equal by their fields."""
        document = self.make()
        assert document == copy.copy(document) == copy.deepcopy(document) == pickle.loads(pickle.dumps(document))
        assert document != Document("a")
        assert document != "a"

    def test_deep_copy_leaks_nothing(self) -> None:
        """A change in a deep copy is not one in the original, nor the other way round."""
        document = self.make()
        twin = copy.deepcopy(document)
        twin.tags["a"]["b"] = 2
        twin.embedding[0] = 9
        twin.chunks[0].text = "x"
        twin.scores["s"].value = 7
        assert document == Document.from_json(document.to_json())
        assert document.tags == {"a": {"b": 1}}
        assert document.embedding[0] == 0
        assert document.chunks[0].text == "c"
        assert document.scores["s"].value == 1

    def test_shallow_copy_has_lists_of_its_own(self) -> None:
        """Chunks added to a copy are the copy's."""
        document = self.make()
        copy.copy(document).chunks.append(Document())
        assert len(document.chunks) == 1


class TestJSON:
    def test_every_field(self) -> None:
        """A document is spelt out in JSON, under the wire's names, in the wire's order."""
        assert list(Document(text="a").to_dict()) == [
            "id", "granularity", "adjacency", "parentId", "text", "chunks", "weight", "matches", "mimeType", "tags",
            "location", "offset", "embedding", "scores", "modality", "evaluations",
        ]  # fmt: skip

    def test_numpy_in_tags(self) -> None:
        """Numbers and arrays of numpy's in tags travel as numbers and lists."""
        document = Document(tags={"a": np.float32(0.5), "b": np.arange(2), "c": np.int8(3)})
        assert Document.from_json(document.to_json()).tags == {"a": 0.5, "b": [0, 1], "c": 3}

    @pytest.mark.parametrize(
        ("given", "pointer"),
        [
            ({"id": 5}, "/id"),
            ({"chunks": [{}, {"mime_type": 3}]}, "/chunks/1/mime_type"),
            ({"matches": [{"mimeType": 3}]}, "/matches/0/mimeType"),
            ({"text": "a", "uri": "b"}, ""),
            ({"chunks": [{"text": "a", "buffer": "AAAA"}]}, "/chunks/0"),
            ({"embedding": ["a"]}, "/embedding"),
            ({"embedding": {"dense": {"buffer": "AAAA", "shape": [2], "dtype": "<f4"}}}, "/embedding"),
            ({"embedding": {"dense": {"buffer": "AAAA", "shape": [-1], "dtype": "|u1"}}}, "/embedding"),
            ({"embedding": {"dense": {"buffer": "AAAA", "shape": [1], "dtype": "O"}}}, "/embedding"),
            ({"embedding": {"dense": {"buffer": "?", "shape": [1], "dtype": "|u1"}}}, "/embedding/dense/buffer"),
            ({"embedding": {}}, "/embedding"),
            ({"blob": {"sparse": {"indices": {}}}}, "/blob/sparse"),
            ({"tags": []}, "/tags"),
            ({"scores": {"a": {"value": "b"}}}, "/scores"),
            ({"graph": {"adjacency": 1}}, "/graph/adjacency"),
        ],
    )
    def test_wrong_place_is_named(self, given: dict[str, object], pointer: str) -> None:
        """An error names the place as the caller wrote it."""
        with pytest.raises(ValidationError) as wrong:
            Document.from_dict(given)
        assert wrong.value.errors[0].pointer == pointer

    def test_sparse_that_does_not_fit(self) -> None:
        """Indices beyond the shape are refused, so that reading cannot fail."""
        one = {"buffer": "AQAAAAAAAAA=", "shape": [1, 1], "dtype": "<i8"}
        with pytest.raises(ValidationError):
            Document.from_dict(
                {"embedding": {"sparse": {"indices": one, "values": {**one, "shape": [1]}, "shape": [1]}}}
            )

    @pytest.mark.parametrize("name", ["chunks", "tags"])
    def test_too_deep(self, name: str) -> None:
        """32 levels of documents or tags are taken, not 33."""

        def nested(levels: int) -> dict[str, object]:
            inner: dict[str, object] = {}
            for _ in range(levels - 1):
                inner = {name: [inner]} if name == "chunks" else {"a": inner}
            return inner if name == "chunks" else {"tags": inner}

        Document.from_dict(nested(32))
        with pytest.raises(ValidationError):
            Document.from_dict(nested(33))
