"""What a program assigns: what becomes of it, the same for every protocol, and what is refused."""

from __future__ import annotations

import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from math import inf, isnan, nan
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given

from tests.documents import documents
from tests.support import request
from twisted_flow import Document, DocumentArray
from twisted_flow.codec import json, protobuf
from twisted_flow.document.document import Graph
from twisted_flow.document.fields import NamedScore
from twisted_flow.limits import Limits
from twisted_flow.message import Response, Status

CODECS = pytest.mark.parametrize("codec", [json, protobuf], ids=["json", "protobuf"])
AN_ID = uuid.UUID("12345678123456781234567812345678")


class Text(str):
    """As a parser of HTML has them."""

    def __str__(self) -> str:
        return "something else"


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Whole(int):
    pass


class Real(float):
    pass


@dataclass
class Point:
    x: int = 1


SAID: list[tuple[Any, Any]] = [
    (date(2020, 1, 2), "2020-01-02"),
    (datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), "2020-01-02T03:04:05Z"),
    (datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2020-01-02T03:04:05+02:00"),
    (datetime(2020, 1, 2, 3, 4, 5), "2020-01-02T03:04:05"),
    (timedelta(minutes=1, milliseconds=500), 60.5),
    (timedelta(minutes=1), 60),
    ({1}, [1]),
    (frozenset((2,)), [2]),
    ((1, "a"), [1, "a"]),
    (deque([1, 2]), [1, 2]),
    (Decimal("0.5"), 0.5),
    (Decimal("3"), 3),
    (Decimal("0.1"), "0.1"),
    (Decimal("NaN"), "NaN"),
    (Decimal("1e400"), "1E+400"),
    (AN_ID, str(AN_ID)),
    (PurePosixPath("/a/b"), "/a/b"),
    (Path("c"), "c"),
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (b"\x00\xff", "AP8="),
    (bytearray(b"a"), "YQ=="),
    (memoryview(b"a"), "YQ=="),
    (Text("abc"), "abc"),
    (Whole(7), 7),
    (Real(0.5), 0.5),
    (OrderedDict(a=1), {"a": 1}),
    (MappingProxyType({"a": (1,)}), {"a": [1]}),
    (np.float32(0.5), 0.5),
    (np.float64(0.25), 0.25),
    (np.int64(4), 4),
    (np.bool_(True), True),
    (np.str_("s"), "s"),
    (np.bytes_(b"a"), "YQ=="),
    (np.arange(3), [0, 1, 2]),
    (np.array([[0.5], [nan]]), [[0.5], [None]]),
    (np.array(5), 5),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array([1, "a", date(2020, 1, 2)], dtype=object), [1, "a", "2020-01-02"]),
    (np.datetime64("2020-01-02T03:04:05"), "2020-01-02T03:04:05"),
    (np.array(["2020-01-02", "NaT"], "M8[D]"), ["2020-01-02", None]),
    (np.timedelta64(90, "s"), 90),
    (np.longdouble(0.5), 0.5),
    (nan, None),
    (-inf, None),
    ([{"a": (date(2020, 1, 2),)}], [{"a": ["2020-01-02"]}]),
    (2**53, 2**53),
    (True, True),
    (None, None),
]
UNSAYABLE = [
    object(),
    Point(),
    1j,
    lambda: None,
    range(3),
    {None: 1},
    {(1,): 2},
    np.complex64(1),
    np.array([1j]),
    Document(),
]


def through(codec: Any, *docs: Document, **fields: Any) -> Response:
    """What a client makes of the answer that has *docs*."""
    asked = request(*docs, **fields)
    body = codec.encode_response(Response(asked, asked.docs, asked.groundtruths, [], Status()), Limits())
    answer: Response = codec.decode_response(body)
    again = codec.decode_request(codec.encode_request(request(*answer.docs)), None, Limits())
    # What came once can be sent again. (In JSON NaN equals NaN, and the order of a map is nobody's.)
    assert [msgspec.json.decode(each.to_json()) for each in again.docs] == [
        msgspec.json.decode(each.to_json()) for each in answer.docs
    ]
    return answer


@CODECS
@pytest.mark.parametrize(("value", "said"), SAID, ids=lambda value: type(value).__name__)
def test_tags(codec: Any, value: Any, said: Any) -> None:
    """Whatever is put into tags, and wherever in them, is one thing to all clients."""
    document = Document(tags={"k": value})
    document.tags["in"] = [value, {"deep": value}]
    other = Document()
    other.tags["k"] = []
    other.tags["k"].append(value)  # which no assignment sees
    answer = through(codec, document, other, parameters={"p": value, "in": {"p": [value]}})
    tags = answer.docs[0].tags
    assert (tags["k"], type(tags["k"])) == (said, type(said))
    assert tags["in"] == [tags["k"], {"deep": tags["k"]}]
    assert answer.docs[1].tags == {"k": [tags["k"]]}
    assert answer.request.parameters == {"p": tags["k"], "in": {"p": [tags["k"]]}}


@CODECS
def test_keys(codec: Any) -> None:
    """They are texts."""
    tags = {1: "int", 2.5: "float", False: "bool", Text("t"): "text", Colour.RED: "enum", np.int64(9): "numpy"}
    (document,) = through(codec, Document(tags=tags)).docs
    assert document.tags == {"1": "int", "2.5": "float", "false": "bool", "t": "text", "red": "enum", "9": "numpy"}
    made = Document()
    made.tags.update({3: 1}, more=2)
    made.tags |= {4: 1}
    assert made.tags.setdefault(5, (1,)) == [1]
    assert list(made.tags) == ["3", "more", "4", "5"]


@CODECS
@pytest.mark.parametrize("value", UNSAYABLE, ids=lambda value: type(value).__name__)
def test_what_json_cannot_say(codec: Any, value: Any) -> None:
    """It stays for the executors of the flow; who sends it is told its place."""
    for tags, place in (({"a/b": value}, "a~1b"), ({"k": [1, {"x": value}]}, "k/1/x")):
        document = Document(tags=tags)
        for encode in (
            lambda made=document: codec.encode_request(request(Document(), made)),
            lambda made=document: through(codec, Document(), made),
        ):
            with pytest.raises(TypeError) as wrong:
                encode()
            assert "\n" not in str(wrong.value)
        with pytest.raises(TypeError, match=f"^/data/docs/1/tags/{place}: "):
            codec.encode_request(request(Document(), document))
    with pytest.raises(TypeError, match="^/parameters/p: "):
        codec.encode_request(request(parameters={"p": value}))


@CODECS
def test_what_is_nested_in_itself(codec: Any) -> None:
    """It ends at the bound that readers have."""
    tags: dict[str, Any] = {}
    tags["tags"] = tags
    document = Document(tags={"k": 1})
    document.tags["k"] = []
    document.tags["k"].append(document.tags["k"])
    for made in (Document(tags=tags), document):
        with pytest.raises(TypeError, match="levels deep"):
            through(codec, made)
    deep: Any = 1
    for _ in range(31):
        deep = [deep]
    assert through(codec, Document(tags={"k": deep})).docs[0].tags == {"k": deep}
    with pytest.raises(TypeError, match="levels deep"):
        through(codec, Document(tags={"k": [deep]}))
    parent = Document()
    for _ in range(32):
        parent = Document(chunks=[parent])
    with pytest.raises(TypeError, match="levels deep"):
        through(codec, parent)
    assert through(codec, parent.chunks[0]).docs[0].chunks[0].chunks


FIELDS: list[tuple[str, Any, Any]] = [
    ("id", 5, "5"),
    ("id", 0, "0"),
    ("id", np.int64(7), "7"),
    ("id", AN_ID, str(AN_ID)),
    ("id", Text("a"), "a"),
    ("id", Colour.RED, TypeError),
    ("id", 5.0, TypeError),
    ("id", True, TypeError),
    ("id", b"a", TypeError),
    ("parent_id", 5, "5"),
    ("text", Text("abc"), "abc"),
    ("text", np.str_("abc"), "abc"),
    ("text", 5, TypeError),
    ("text", b"abc", TypeError),
    ("text", Path("a"), TypeError),
    ("uri", Path("a/b.png"), "a/b.png"),
    ("uri", Text("a"), "a"),
    ("uri", 5, TypeError),
    ("mime_type", Text("text/html"), "text/html"),
    ("mime_type", 5, TypeError),
    ("modality", 5, TypeError),
    ("buffer", bytearray(b"a"), b"a"),
    ("buffer", memoryview(b"abcd")[::2], b"ac"),
    ("buffer", np.bytes_(b"a"), b"a"),
    ("buffer", np.array([1, 2], "u1"), b"\x01\x02"),
    ("buffer", "a", TypeError),
    ("buffer", 5, TypeError),
    ("granularity", np.int64(2), 2),
    ("granularity", Level.HIGH, 3),
    ("granularity", -1, ValueError),
    ("granularity", 2**32, ValueError),
    ("granularity", "1", TypeError),
    ("adjacency", 1.0, TypeError),
    ("offset", Whole(7), 7),
    ("location", (1, np.int64(2)), [1, 2]),
    ("location", np.array([3, 4]), [3, 4]),
    ("location", [1, -1], ValueError),
    ("location", "12", TypeError),
    ("location", 5, TypeError),
    ("weight", 2, 2.0),
    ("weight", np.float32(0.5), 0.5),
    ("weight", Decimal("0.5"), 0.5),
    ("weight", 1e300, ValueError),
    ("weight", 10**400, TypeError),
    ("weight", "1", TypeError),
    ("weight", 1j, TypeError),
    ("tags", [1], TypeError),
    ("tags", "a", TypeError),
    ("scores", {"a": "b"}, TypeError),
    ("scores", {"a": 1e300}, ValueError),
    ("evaluations", {"a": "b"}, TypeError),
    ("embedding", "a", ValueError),
    ("embedding", [["a"]], ValueError),
    ("embedding", [[1], [1, 2]], ValueError),
    ("blob", object(), ValueError),
    ("graph", 5, TypeError),
    ("chunks", ["a"], TypeError),
    ("chunks", 5, TypeError),
    ("matches", [{}], TypeError),
]


@pytest.mark.parametrize(("field", "value", "kept"), FIELDS, ids=str)
def test_fields(field: str, value: Any, kept: Any) -> None:
    """What is plainly meant as a value of the field's type is one; all else is refused in one line that names it."""
    document = Document(id="before")
    if isinstance(kept, type):
        for assign in (lambda: setattr(document, field, value), lambda: Document(**{field: value})):
            with pytest.raises(kept) as wrong:
                assign()
            assert "\n" not in str(wrong.value)
            assert field.rstrip("s") in str(wrong.value)
        assert document == Document(id="before")
        return
    setattr(document, field, value)
    for made in (document, Document(**{field: value})):
        assert (getattr(made, field), type(getattr(made, field))) == (kept, type(kept))
        for codec in (json, protobuf):
            (again,) = through(codec, made).docs
            assert again == made


def test_ids() -> None:
    """They are texts, by which documents are found; no id at all is a new one."""
    docs = DocumentArray([Document(id=5), Document(id=0), Document({"id": 7})])
    assert [docs[name].id for name in ("5", "0", "7")] == ["5", "0", "7"]
    assert len({Document(id="").id, Document(id=None).id, Document().id}) == 3  # type: ignore[arg-type]


def test_scores_by_hand() -> None:
    """What they are made of is held to its type too."""
    score = NamedScore(np.float32(0.5), op_name=Text("op"))  # type: ignore[arg-type]
    assert (score.value, type(score.value), score.op_name) == (0.5, float, "op")
    for wrong in ({"value": "x"}, {"value": 1e300}, {"op_name": 5}, {"operands": [1]}, {"ref_id": 1.5}):
        with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
            NamedScore(**wrong)  # type: ignore[arg-type]
        with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
            setattr(score, *next(iter(wrong.items())))
    document = Document()
    document.scores.update({"a": 1}, b=np.float64(2))
    document.scores |= {"c": NamedScore(3)}
    assert {name: type(each.value) for name, each in document.scores.items()} == dict.fromkeys("abc", float)
    with pytest.raises(TypeError, match="undirected|edge_features"):
        Graph(edge_features=[1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="adjacency"):
        Graph(adjacency=np.zeros(3))  # type: ignore[arg-type]


@CODECS
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_numbers_that_json_has_no_word_for(codec: Any, value: float) -> None:
    """A score or weight that is no number is NaN to every client, and never 0; an array in its dense form is exact."""
    document = Document(weight=value, scores={"a": value}, evaluations={"b": NamedScore(operands=[NamedScore(value)])})
    document.embedding = np.array([value, 1])
    (told,) = through(codec, document).docs
    numbers = [told.weight, told.scores["a"].value, told.evaluations["b"].operands[0].value]
    assert all(map(isnan, numbers)) if codec is json else np.array_equal(numbers, [value] * 3, equal_nan=True)
    assert np.array_equal(told.embedding, [value, 1], equal_nan=True)


@pytest.mark.parametrize(
    "array",
    [np.array([nan, 1]), np.array(5.0), np.array([1j]), np.zeros((2, 0)), np.zeros(0), [[nan], [1]], [nan, nan]],
)
def test_arrays_as_lists(array: Any) -> None:
    """Who asks for lists gets what can be said so, and can send it back."""
    (told,) = through(json, Document(embedding=array, blob=array), arrays="list").docs
    assert np.array_equal(told.embedding, np.asarray(array), equal_nan=True)
    assert np.array_equal(told.blob, np.asarray(array), equal_nan=True)


def test_an_array_that_is_filled_again() -> None:
    """Documents keep what was assigned, whatever its owner does with it then."""
    buffer = np.zeros(2, "f4")
    octets = bytearray(2)
    names: list[str] = []
    docs = DocumentArray()
    for value in (1, 2, 3):
        octets[:] = bytes([value] * 2)
        buffer[:] = value
        names[:] = [str(value)]
        docs.append(Document(embedding=buffer, buffer=octets, tags={"names": names}))
        docs.append(Document(blob=buffer[::-1].T, scores={"a": buffer[0]}, location=octets))
        docs[-1].tags["names"] = names
    octets[:] = b"\xff\xff"
    buffer[:] = 8
    names.clear()
    assert [document.embedding.tolist() for document in docs[::2]] == [[1, 1], [2, 2], [3, 3]]
    assert [document.blob.tolist() for document in docs[1::2]] == [[1, 1], [2, 2], [3, 3]]
    assert [document.buffer for document in docs[::2]] == [b"\1\1", b"\2\2", b"\3\3"]
    assert [document.tags["names"] for document in docs] == [["1"], ["1"], ["2"], ["2"], ["3"], ["3"]]
    assert [(document.scores["a"].value, document.location) for document in docs[1::2]] == [
        (1, [1, 1]), (2, [2, 2]), (3, [3, 3]),
    ]  # fmt: skip
    matrix = np.ones((6, 2))
    docs.embeddings = matrix
    docs.blobs = [buffer] * 6
    matrix[:] = buffer[:] = 9
    assert docs.embeddings.tolist() == np.ones((6, 2)).tolist()
    assert docs.blobs.max() != 9
    docs[0].embedding[:] = 5
    assert docs[1].embedding.tolist() == [1, 1]


def test_an_array_that_nobody_can_change() -> None:
    """It is not copied; nor is one that is handed over."""
    fixed = np.frombuffer(b"12345678", "f4")
    document = Document(embedding=fixed)
    assert document._embedding.dense.buffer.obj is not None  # type: ignore[union-attr]
    assert np.shares_memory(np.frombuffer(document._embedding.dense.buffer, "f4"), fixed)  # type: ignore[union-attr]
    document.embedding[0] = 1
    assert bytes(fixed) == b"12345678"
    for reopened in (np.zeros(2), np.frombuffer(bytearray(8), "f4")):
        reopened.flags.writeable = False
        document = Document(embedding=reopened)
        reopened.flags.writeable = True
        reopened[:] = 7
        assert document.embedding.tolist() == [0, 0]
    mine = np.zeros(3)
    document.blob = Document.take(mine)
    assert np.shares_memory(document.blob, mine)


@given(documents())
def test_whatever_a_document_holds(document: Document) -> None:
    """It goes through either codec, and comes to a client as the same."""
    for codec in (json, protobuf):
        through(codec, document)
