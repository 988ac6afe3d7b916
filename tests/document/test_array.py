"""Lists of documents."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from twisted_flow import Document, DocumentArray


def make(count: int = 4) -> DocumentArray:
    return DocumentArray(Document(id=str(n), text=f"t{n}", embedding=[n, 1.0], tags={"n": n}) for n in range(count))


class TestAccess:
    def test_by_position_slice_and_id(self) -> None:
        """Documents are reached by all three."""
        docs = make()
        assert docs[0].id == docs["0"].id == "0"
        assert isinstance(docs[1:3], DocumentArray)
        assert [document.id for document in docs[1:3]] == ["1", "2"]
        assert "3" in docs
        assert docs[2] in docs
        assert "9" not in docs
        with pytest.raises(KeyError):
            docs["9"]

    def test_change_by_id(self) -> None:
        """They are replaced and removed by id too."""
        docs = make()
        docs["1"] = Document(id="x")
        del docs["2"]
        assert [document.id for document in docs] == ["0", "x", "3"]

    def test_sort(self) -> None:
        """They sort like any list."""
        docs = make()
        docs.sort(key=lambda document: -document.tags["n"])
        assert docs[0].id == "3"


class TestColumns:
    def test_get_attributes(self) -> None:
        """One field of all documents, or several; tags by a double underscore."""
        docs = make(2)
        assert docs.get_attributes("id") == ["0", "1"]
        assert docs.get_attributes("id", "tags__n") == [["0", "1"], [0, 1]]

    def test_texts_and_arrays(self) -> None:
        """Read at once, and set at once."""
        docs = make(3)
        assert docs.texts == ["t0", "t1", "t2"]
        assert docs.embeddings.shape == (3, 2)
        docs.embeddings = docs.embeddings * 2
        assert docs[2].embedding.tolist() == [4, 2]
        docs.blobs = np.zeros((3, 2, 2))
        assert docs.blobs.shape == (3, 2, 2)
        docs.texts = ["a", "b", "c"]
        assert docs[1].content == "b"

    def test_missing_embedding(self) -> None:
        """The document that has none is named."""
        docs = make(2)
        docs[1].embedding = None
        with pytest.raises(ValueError, match="'1' has no embedding"):
            _ = docs.embeddings

    def test_wrong_count(self) -> None:
        """As many values as documents are needed."""
        with pytest.raises(ValueError, match="2 values for 3"):
            make(3).texts = ["a", "b"]


def test_traverse_flat() -> None:
    """Paths of r, c and m lead to documents at any depth."""
    inner = Document("d", matches=[Document("m")])
    docs = DocumentArray([Document("a", chunks=[Document("b", chunks=[Document("c")]), inner])])
    assert docs.traverse_flat("r").texts == ["a"]
    assert docs.traverse_flat("c").texts == ["b", "d"]
    assert docs.traverse_flat(["cc", "cm", "r"]).texts == ["c", "m", "a"]
    assert docs.traverse_flat("r,c").texts == ["a", "b", "d"]
    with pytest.raises(ValueError, match="not 'x'"):
        docs.traverse_flat("x")


class TestMatch:
    @pytest.mark.parametrize("metric", ["cosine", "euclidean", "sqeuclidean"])
    def test_nearest_first(self, metric: str) -> None:
        """Matches are copies, nearest first, with their distance."""
        docs = make()
        docs.match(docs, limit=2, metric=metric)
        assert next(match.id for match in docs[2].matches) == "2"
        assert len(docs[2].matches) == 2
        values = [match.scores[metric].value for match in docs[2].matches]
        assert values == sorted(values)
        assert values[0] == pytest.approx(0, abs=1e-7)
        assert docs[2].scores == {}
        assert docs[2].matches[0].adjacency == 1

    def test_own_metric(self) -> None:
        """A function of two arrays will do."""

        def first(left: np.ndarray, right: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
            return np.abs(left[:, :1] - right[:, 0])

        docs = make()
        docs.match(docs, metric=first)
        assert [match.id for match in docs[0].matches] == ["0", "1", "2", "3"]
        assert docs[0].matches[3].scores["first"].value == 3

    def test_nothing_to_match(self) -> None:
        """An empty index gives no matches; an unknown metric names the nearest."""
        docs = make(1)
        docs.match(DocumentArray())
        assert docs[0].matches == []
        with pytest.raises(ValueError, match="did you mean 'cosine'"):
            docs.match(docs, metric="cosin")


@pytest.mark.parametrize("file_format", ["json", "binary"])
def test_save_and_load(tmp_path: pathlib.Path, file_format: str) -> None:
    """What is saved is loaded."""
    docs = make()
    docs[0].chunks.append(Document("ü", tags={"a": [1, {"b": None}]}))
    docs.save(tmp_path / "docs", file_format)
    again = DocumentArray.load(str(tmp_path / "docs"), file_format)
    assert again == docs
    assert isinstance(again, DocumentArray)
    with pytest.raises(ValueError, match="'json' or 'binary'"):
        docs.save(tmp_path / "x", "xml")
