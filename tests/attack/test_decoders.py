"""Bodies that say more than they are long: what becomes of them is bounded, in memory and in time."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.documents import documents
from tests.support import Dispatcher, Held, entry, request, steps_of, wait_for
from twisted_flow.answer import Answer, answer
from twisted_flow.codec import json as by_json
from twisted_flow.codec import protobuf, slices
from twisted_flow.document import Document, DocumentArray
from twisted_flow.document.ndarray import SparseArray
from twisted_flow.errors import FlowError, PayloadTooLarge, ValidationError
from twisted_flow.gateway.buffered import Buffered
from twisted_flow.gateway.session.session import Session
from twisted_flow.limits import Limits

MIB = 1 << 20
LIMITS = Limits(max_documents=1000, max_values=5000)


def told(body: bytes, codec: Any = by_json, limits: Limits = LIMITS, dispatcher: Any = None) -> Answer:
    """What *body* is answered, in as many turns as it takes."""
    origin = entry(limits=limits, endpoint="/x")

    def ask() -> Any:
        return answer(body, codec, dispatcher or Dispatcher(), origin)

    answered: Answer = wait_for(ask)
    return answered


def told_with_peak(body: bytes, codec: Any = by_json) -> tuple[Answer, int]:
    """What *body* is answered, and how much memory that took at once (bytes)."""
    tracemalloc.start()
    try:
        answered = told(body, codec)
        return answered, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read(body: bytes, codec: Any, limits: Limits, endpoint: str | None = None) -> tuple[Any, int]:
    """The request that *body* is, and in how many steps it was read."""
    steps = codec.decode_in_steps(body, endpoint, limits)
    if steps is None:
        return codec.decode_request(body, endpoint, limits), 0
    number = 0
    while True:
        try:
            next(steps)
            number += 1
        except StopIteration as end:
            return end.value, number


def docs_of(raw: str, n: int) -> bytes:
    return b'{"data":[' + b",".join([raw.encode()] * n) + b'],"execEndpoint":"/x"}'


def proto(inner: bytes, n: int) -> bytes:
    """A RequestProto whose data are *n* times the document *inner*."""
    return data_of((b"\x0a" + varint(len(inner)) + inner) * n)


def data_of(data: bytes) -> bytes:
    return b"\x1a" + varint(len(data)) + data + b'"\x04\x0a\x02/x'


def varint(number: int) -> bytes:
    digits = b""
    while number > 127:
        digits += bytes((number & 127 | 128,))
        number >>= 7
    return digits + bytes((number,))


def field(key: int, inner: bytes) -> bytes:
    return bytes((key,)) + varint(len(inner)) + inner


TOO_MANY: dict[str, tuple[Any, bytes]] = {
    "empty documents": (by_json, docs_of("{}", MIB)),
    "a few too many": (by_json, docs_of("{}", 1001)),
    "texts for documents": (by_json, docs_of('"a"', MIB)),
    "nested ones": (by_json, docs_of('{"chunks":[%s]}' % ",".join(["{}"] * 20), 60)),
    "chunks of one": (by_json, docs_of('{"chunks":[%s]}' % ",".join(["{}"] * MIB), 1)),
    "groundtruths": (by_json, b'{"data":{"docs":[{}],"groundtruths":[%b]}}' % b",".join([b"{}"] * 1000)),
    "both": (by_json, b'{"data":{"docs":[%b],"groundtruths":[%b]}}' % ((b",".join([b"{}"] * 501),) * 2)),
    "lists in tags": (by_json, docs_of('{"tags":{"a":[%s]}}' % ",".join(["[]"] * MIB), 1)),
    "lists in parameters": (by_json, b'{"parameters":{"a":[%b]},"data":["x"]}' % b",".join([b"[]"] * MIB)),
    "numbers in tags": (by_json, docs_of('{"tags":{"a":[%s]}}' % ",".join(["1"] * MIB), 1)),
    "protobuf: empty documents": (protobuf, proto(b"", MIB)),
    "protobuf: a few too many": (protobuf, proto(b"", 1001)),
    "protobuf: nested ones": (protobuf, proto(b"\x22\x00" * 20, 60)),
    "protobuf: chunks of one": (protobuf, proto(b"\x22\x00" * MIB, 1)),
    "protobuf: matches beside an unknown field": (protobuf, proto(b"\xf8\x07\x01" + b"\x42\x00" * MIB, 1)),
    "protobuf: documents behind an unknown field": (protobuf, b"\xf8\x3f\x01" + proto(b"", MIB)),
    "protobuf: groundtruths": (protobuf, data_of(b"\x12\x00" * MIB)),
    "protobuf: values in tags": (
        protobuf,
        proto(field(0x5A, field(0x0A, b"\x0a\x01a\x12" + varint(6 * MIB + 5) + field(0x32, b"\x0a\x02\x08\x00" * MIB))), 1),
    ),
    "protobuf: values in parameters": (protobuf, field(0x2A, field(0x0A, b"\x0a\x01a\x12\x00") * MIB)),
    "protobuf: routes": (protobuf, b"\x32\x00" * MIB),
    "protobuf: ids": (protobuf, b"\x0a\x00" * MIB),
    "protobuf: locations one by one": (protobuf, proto(b"\x88\x01\x01" * MIB, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_MANY)
def test_more_than_may_be(name: str) -> None:
    """What has too many documents, or values, is refused before all of it is made."""
    codec, body = TOO_MANY[name]
    answered, peak = told_with_peak(body, codec)
    assert type(answered.error) is PayloadTooLarge, answered.body
    assert peak < 4 * len(body) + 12 * MIB


def test_the_bound_itself() -> None:
    """As many documents as may be are taken, nested ones among them."""
    for codec, body in ((by_json, docs_of('{"chunks":[{}]}', 500)), (protobuf, proto(b"\x22\x00", 500))):
        assert told(body, codec).error is None


EXPANDING = {
    "empty lists": {"dense": {"buffer": "", "shape": [20_000_000, 0], "dtype": "<f4"}},
    "empty lists of empty lists": {"dense": {"buffer": "", "shape": [5000, 5000, 0], "dtype": "<f4"}},
    "sparse": {
        "sparse": {
            "indices": {"buffer": "AAAAAAAAAAAAAAAAAAAAAA==", "shape": [1, 2], "dtype": "<i8"},
            "values": {"buffer": "AACAPw==", "shape": [1], "dtype": "<f4"},
            "shape": [6000, 6000],
        }
    },
}


@pytest.mark.parametrize("where", ["embedding", "blob", "chunks"])
@pytest.mark.parametrize("name", EXPANDING)
def test_what_an_answer_would_expand_to(name: str, where: str) -> None:
    """Arrays that would be too many numbers, or lists, as lists are told so, and not made."""
    array = {where: EXPANDING[name]} if where != "chunks" else {"chunks": [{"embedding": EXPANDING[name]}]}
    body = json.dumps({"data": [array], "arrays": "list", "execEndpoint": "/x"}).encode()
    answered, peak = told_with_peak(body)
    assert type(answered.error) is PayloadTooLarge
    assert peak < MIB
    assert told(body.replace(b'"list"', b'"dense"')).error is None


def test_reading_does_not_expand() -> None:
    """A sparse array is made dense where that is not too large."""
    small = SparseArray(np.array([[0, 1]]), np.array([2.0]), (2, 2))
    assert small.toarray().tolist() == [[0, 2], [0, 0]]
    with pytest.raises(ValueError, match="too large"):
        SparseArray(np.array([[0, 1]]), np.array([2.0]), (6000, 6000)).toarray()
    docs = DocumentArray([Document(embedding=SparseArray(np.array([[0, 1, 0]]), np.array([2.0]), (6000, 6000, 1)))])
    with pytest.raises(ValueError, match="too large"):
        docs.embeddings  # noqa: B018


NO_ARRAYS = {
    "texts": ["a" * 1000] * 5000,
    "one text among numbers": [1, 2, "3"],
    "nulls and texts": [None, 1, "a"],
    "objects": [{"a": 1}],
    "ragged": [[1, 2], [3]],
    "numbers and lists": [1, [2]],
    "a number beyond any dtype": [10**30],
    "texts deep inside": [[["x" * 100_000]]],
    "70 levels": json.loads("[" * 70 + "1" + "]" * 70),
    "no dtype": {"dense": {"buffer": "AA==", "shape": [1], "dtype": "f4," * 300_000}},
    "a long dtype": {"dense": {"buffer": "AA==", "shape": [1], "dtype": "f" * 2_000_000}},
    "more than any memory": {"dense": {"buffer": "", "shape": [2**62, 2**62, 0], "dtype": "<f4"}},
    "a side beyond 64 bits": {"dense": {"buffer": "", "shape": [2**63, 0], "dtype": "<f4"}},
    "a sparse one without a side": {"sparse": {"indices": {}, "values": {}, "shape": []}},
    "a sparse one beyond any memory": {
        "sparse": EXPANDING["sparse"]["sparse"] | {"shape": [2**63, 2**63]},  # type: ignore[operator]
    },
}


@pytest.mark.parametrize("where", ["embedding", "blob"])
@pytest.mark.parametrize("name", NO_ARRAYS)
def test_what_is_no_array(name: str, where: str) -> None:
    """It is refused at its place, and numpy never sees it."""
    body = json.dumps({"data": [{}, {where: NO_ARRAYS[name]}], "execEndpoint": "/x"}).encode()
    answered, peak = told_with_peak(body)
    assert type(answered.error) is ValidationError
    assert answered.error.errors[0].pointer.startswith(f"/data/1/{where}")
    assert peak < 8 * len(body) + MIB


BEYOND = [
    ("granularity", -1), ("granularity", 1 << 32), ("adjacency", -5), ("offset", 1 << 40), ("location", [0, -1]),
    ("weight", 1e300), ("scores", {"a": {"value": -1e39}}), ("evaluations", {"a": {"operands": [{"value": 1e39}]}}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BEYOND)
def test_numbers_that_protobuf_has_no_room_for(field: str, value: Any) -> None:
    """JSON takes none that a gRPC caller could not send."""
    for body in ({"data": [{field: value}]}, {"data": [{"chunks": [{field: value}]}]}):
        answered = told(json.dumps(body).encode())
        assert type(answered.error) is ValidationError
        assert f"/{field}" in answered.error.errors[0].pointer


@given(
    weight=st.floats(width=64, min_value=-3e38, max_value=3e38), score=st.floats(min_value=-3e38, max_value=3e38),
    tags=st.dictionaries(st.text(max_size=3), st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)),
)  # fmt: skip
def test_numbers_are_the_same_on_both_codecs(weight: float, score: float, tags: dict[str, Any]) -> None:
    """What an executor gets does not depend on the protocol."""
    body = {
        "data": [{"id": "a", "weight": weight, "scores": {"s": {"value": score}}, "tags": tags}],
        "execEndpoint": "/x",
    }
    one = by_json.decode_request(json.dumps(body).encode(), None, Limits()).docs[0]
    sent = Document(id="a", weight=weight, scores={"s": score}, tags=tags)
    other = protobuf.decode_request(protobuf.encode_request(request(sent)), None, Limits()).docs[0]
    numbers = [(each.weight, each.scores["s"].value, sorted(each.tags.items())) for each in (one, other)]
    assert numbers[0] == numbers[1]
    assert [type(value) for _, value in numbers[0][2]] == [type(value) for _, value in numbers[1][2]]


LONG = "x" * 1025


@pytest.mark.parametrize("key", ["requestId", "execEndpoint", "targetPeapod"])
def test_long_names(key: str) -> None:
    """An id, an endpoint and a target have at most 1,024 characters, however they come."""
    names = {"requestId": "r", "execEndpoint": "/x", "targetPeapod": ""}
    limits = Limits()
    body = json.dumps(names | {key: LONG}).encode()
    with pytest.raises(ValidationError, match=f"/{key}"):
        by_json.decode_request(body, None, limits)
    with pytest.raises(ValidationError, match="1024"):
        by_json.decode_request(json.dumps({"data": [{"id": LONG}], "execEndpoint": "/x"}).encode(), None, limits)
    asked = request(endpoint=LONG if key == "execEndpoint" else "/x", target=LONG if key == "targetPeapod" else "")
    asked = msgspec.structs.replace(asked, request_id=LONG if key == "requestId" else "r")
    with pytest.raises(ValidationError, match=f"/{key}"):
        protobuf.decode_request(protobuf.encode_request(asked), None, limits)


def test_a_decoder_that_fails_is_an_answer() -> None:
    """Whatever it raises."""
    for raised in (MemoryError(), KeyError("x"), RecursionError(), OverflowError()):

        class Broken:
            content_type = "x"

            def decode_in_steps(self, body: bytes, endpoint: Any, limits: Any, error: Exception = raised) -> Any:
                raise error

        answered = told(b"{}", Broken())
        assert answered.error is not None
        assert answered.error.http_status in (400, 413)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large, and cut up small."""
    for module, name, value in (
        (slices, "_BLOCK", 7), (slices, "_SLICE", 20), (by_json, "_LARGE", 0), (protobuf, "_LARGE", 0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)


class TestInSteps:
    """What is read in steps is what would be read in one go."""

    @given(
        docs=st.lists(documents(), max_size=6),
        wrapped=st.booleans(),
        indent=st.sampled_from([None, 1]),
        own=st.booleans(),
    )
    def test_json(self, docs: list[Document], wrapped: bool, indent: int | None, own: bool) -> None:
        for each in docs:
            each.id = each.id or "x"
        plain: Any = [each.to_dict() for each in docs]
        if own:
            plain = [each | {"own_key": 'a\\"]},{'} for each in plain]
        data = {"docs": plain, "groundtruths": plain[:2]} if wrapped else plain
        body = json.dumps(
            {"requestId": "r", "data": data, "parameters": {"data": [{}]}, "exec_endpoint": "/x"}, indent=indent
        ).encode()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(slices, "_BLOCK", 7)
            patch.setattr(slices, "_SLICE", 20)
            patch.setattr(by_json, "_LARGE", 0)
            got, _ = read(body, by_json, Limits())
        assert got == by_json.decode_request(body, None, Limits())

    @given(docs=st.lists(documents(), max_size=6), truths=st.lists(documents(), max_size=3))
    def test_protobuf(self, docs: list[Document], truths: list[Document]) -> None:
        for each in docs + truths:
            each.id = each.id or "x"
        body = protobuf.encode_request(request(*docs, groundtruths=DocumentArray(truths)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(protobuf, "_LARGE", 0)
            patch.setattr("twisted_flow.codec.envelope._SLICE", 10)
            got, _ = read(body, protobuf, Limits())
            again, _ = read(body + b"\xf8\x3f\x01", protobuf, Limits())
        assert got == again == protobuf.decode_request(body, None, Limits())

    @pytest.mark.usefixtures("tiny")
    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            (docs_of('{"text":"a"}', 9)[:-1].replace(b'"a"}]', b"5}]") + b"}", "/data/8/text"),
            (b'{"data":{"docs":[{},{},{"chunks":[{},{"weight":"x"}]}]},"execEndpoint":"/x"}', "/data/docs/2/chunks/1/weight"),
            (b'{"data":{"docs":[{},{},{}],"groundtruths":[{},{"id":5}]},"execEndpoint":"/x"}', "/data/groundtruths/1/id"),
            (b'{"data":[{},{"text":"a","uri":"b"}],"execEndpoint":"/x"}', "/data/1"),
            (b'{"data":[{}],"execEndpoint":5}', "/execEndpoint"),
            (b'{"data":[{}],"data":[{"text":5}],"execEndpoint":"/x"}', "/data/0/text"),
        ],
    )  # fmt: skip
    def test_places(self, body: bytes, pointer: str) -> None:
        """What is wrong is told at its place, and the request's id with it."""
        body = b'{"requestId":"r1",' + body[1:]
        with pytest.raises(ValidationError) as caught:
            read(body, by_json, Limits())
        assert caught.value.errors[0].pointer == pointer
        assert caught.value.request_id == "r1"

    @pytest.mark.usefixtures("tiny")
    @pytest.mark.parametrize("body", [b"", b"[", b"{", b'{"data":[{}', b'{"data":[{}]', b'{"data":[{},]}', b'{"data":[}]}', b"nul", b'{"data":[{"id":"\xff"}],"execEndpoint":"/x"}'])  # fmt: skip
    def test_broken(self, body: bytes) -> None:
        """What does not parse is a BadRequest either way."""
        with pytest.raises(FlowError) as by_steps:
            read(body, by_json, Limits())
        with pytest.raises(FlowError) as in_one_go:
            by_json.decode_request(body, None, Limits())
        assert type(by_steps.value) is type(in_one_go.value)

    def test_others_have_their_turn(self) -> None:
        """A large body is read in many steps, none of which takes more than some documents."""
        for codec, body in ((by_json, docs_of('{"text":"hello"}', 90_000)), (protobuf, proto(b"j\x05hello", 90_000))):
            got, steps = read(body, codec, Limits(), "/x")
            assert len(got.docs) == 90_000
            assert steps > 9

    def test_cancelled(self) -> None:
        """Who goes away while a large body is read is not asked for it any more."""
        dispatcher = Dispatcher()

        def ask() -> Deferred[Answer]:
            origin = entry(endpoint="/x")
            answered: Any = answer(docs_of("{}", 90_000), by_json, dispatcher, origin)  # type: ignore[arg-type]
            answered.cancel()
            return answered

        answered = wait_for(ask)
        assert answered.error.name == "Cancelled"
        assert dispatcher.requests == []


def nested(n: int) -> bytes:
    return json.dumps({"data": [{"tags": {"k": [[1.0, {"x": 2.0}] for _ in range(n)]}}], "execEndpoint": "/x"}).encode()


def decoding(codec: Any, body: bytes) -> Callable[[], Any]:
    return lambda: codec.decode_request(body, None, Limits())


GROWING: dict[str, Callable[[int], Callable[[], Any]]] = {
    "tags, JSON": lambda n: decoding(by_json, nested(n)),
    "tags, too deep at the end": lambda n: decoding(by_json, nested(n)[:-25] + b"[" * 40 + b"]" * 40 + b"]}}]}"),
    "documents, JSON": lambda n: decoding(by_json, docs_of('{"tags":{"a":1.0}}', n)),
    "documents, wrong at the end": lambda n: decoding(by_json, docs_of("{}", n)[:-21] + b',{"text":5}],"execEndpoint":"/x"}'),
    "documents, protobuf": lambda n: decoding(protobuf, proto(b"j\x05hello", n)),
    "chunks, protobuf": lambda n: decoding(protobuf, proto(b"\x22\x00" * n, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_ten_times_as_much_takes_ten_times_as_long(name: str) -> None:
    """Decoding takes as many steps as there is to decode."""
    make = GROWING[name]
    few, many = steps_of(make(300)), steps_of(make(3000))
    assert many < 12 * few


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_too_many_documents_are_told_to_who_asked(first: bool) -> None:
    """The refusal of a body that is not decoded has the request's id all the same."""
    documents = b",".join([b"{}"] * 600_000)
    body = b'{"requestId":"mine","data":[%b]}' % documents if first else b'{"data":[%b],"requestId":"mine"}' % documents
    answered = told(body)
    assert type(answered.error) is PayloadTooLarge
    assert json.loads(answered.body)["instance"] == "mine"


@pytest.mark.parametrize("binary", [False, True], ids=["json", "bytes"])
def test_a_session_keeps_nothing_of_what_was_read_in_steps(binary: bool) -> None:
    """A large request can be cancelled by its id while it is under way, and is forgotten when it is answered."""
    sent: list[bytes] = []
    held = Held()
    body = proto(b"j\x05hello", 90_000) if binary else docs_of('{"text":"hello"}', 90_000)
    idle: Deferred[None] = Deferred()
    asked = request(Document("a"), endpoint="/x")
    small = protobuf.encode_request(asked) if binary else by_json.encode_request(asked)

    def begin() -> Any:
        session = Session(
            held, entry(), None,
            lambda payload, binary: sent.append(payload), lambda: session.busy or idle.callback(None), Limits(),
            Buffered(Limits().max_buffered), lambda call: None,
        )  # fmt: skip
        session.received(body, binary)
        session.received(small, binary)
        assert len(held.requests) == 1
        arrived = deferLater(reactor, 0.0, lambda: None)  # type: ignore[arg-type]

        def look(_: Any) -> Any:
            if len(held.requests) < 2:
                return deferLater(reactor, 0.01, lambda: None).addCallback(look)  # type: ignore[arg-type]
            return session

        return arrived.addCallback(look)

    session = wait_for(begin)

    def end() -> Any:
        assert len(session.under_way._waiting) == 2
        held.release(1)
        assert len(session.under_way._waiting) == 1
        held.release(0)
        return idle

    wait_for(end)
    assert session.under_way._waiting == {}
    assert len(sent) == 2
