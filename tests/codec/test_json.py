"""Requests and answers in JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from tests.documents import TAGS, documents
from tests.support import request
from twisted_flow import Document
from twisted_flow.codec import json as codec
from twisted_flow.errors import BadRequest, FlowError, ValidationError
from twisted_flow.interfaces import ICodec
from twisted_flow.limits import Limits
from twisted_flow.message import Header, Request, Response, Route

OLD_CLIENT = (
    '{"request_id": "039bb4cf-756a-4451-96cd-43efe59b6e89", "data": [{"id": "efc5e4b8-e71d-11f1-a6d8-02fc00000001", '
    '"mime_type": "text/plain", "tags": {"a": 1.0}, "text": "hello", "embedding": {"dense": {"buffer": "AACAPwAAAEA=", '
    '"shape": [2], "dtype": "<f4"}}}], "header": {"exec_endpoint": "/index"}, "parameters": {"top_k": 3.0}, '
    '"exec_endpoint": "/index"}'
)


def decode(body: Any, endpoint: str | None = "/x") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return codec.decode_request(raw, endpoint, Limits())


def encode(asked: Request) -> Any:
    now = datetime(2026, 11, 23, 9, 11, 57, 900436, UTC)
    return json.loads(
        codec.encode_response(
            Response(asked, asked.docs, asked.groundtruths, [Route("gateway", "g", now, now)]), Limits()
        )
    )


def test_provides() -> None:
    """The module provides `ICodec`."""
    verifyObject(ICodec, codec)


class TestRequest:
    def test_seed(self) -> None:
        """The request of the seed document."""
        found = decode(b'{"data": [{"text": "hello world"}],"execEndpoint": "/index"}', None)
        assert found.header == Header("/index")
        assert found.docs.texts == ["hello world"]
        assert len(found.docs[0].id) == len(found.request_id) == 32

    def test_old_client(self) -> None:
        """The body that the old Python client posts."""
        found = decode(OLD_CLIENT.encode(), None)
        assert found.request_id == "039bb4cf-756a-4451-96cd-43efe59b6e89"
        assert found.header.exec_endpoint == "/index"
        assert found.parameters == {"top_k": 3}
        assert isinstance(found.parameters["top_k"], int)
        (document,) = found.docs
        assert document.embedding.tolist() == [1, 2]
        assert (document.text, document.tags, document.mime_type) == ("hello", {"a": 1}, "text/plain")

    @pytest.mark.parametrize(
        ("data", "texts"),
        [
            (None, []),
            ([], []),
            ("one", ["one"]),
            (["one", "two"], ["one", "two"]),
            ({"text": "one"}, ["one"]),
            ([{"text": "one"}, "two"], ["one", "two"]),
            ({"docs": [{"text": "one"}]}, ["one"]),
            ({"docs": ["one"], "groundtruths": ["two"]}, ["one"]),
            ({"docs": "one"}, ["one"]),
            (["data:text/plain,a", "http://flow.invalid/"], ["data:text/plain,a", "http://flow.invalid/"]),
        ],
    )
    def test_data(self, data: Any, texts: list[str]) -> None:
        """Documents may be spelt in all these ways."""
        assert decode({"data": data}).docs.texts == texts

    def test_groundtruths(self) -> None:
        """They come beside the documents."""
        assert decode({"data": {"docs": [], "groundtruths": [{"text": "g"}]}}).groundtruths.texts == ["g"]

    def test_own_keys_are_tags(self) -> None:
        """What is no field of a document is a tag."""
        assert decode({"data": [{"text": "a", "lang": "en", "tags": {"x": 1}}]}).docs[0].tags == {"lang": "en", "x": 1}

    def test_every_default_spelt_out(self) -> None:
        """An answer's document can be sent as a request's; so can nulls."""
        spelt = encode(request(Document(text="a")))["data"]["docs"]
        assert decode({"data": spelt}).docs[0].text == "a"
        nulls = dict.fromkeys(spelt[0]) | {"text": "a"}
        assert decode({"data": [nulls]}).docs[0].text == "a"

    def test_endpoint(self) -> None:
        """The route's endpoint wins over the body's; whether a message without one makes sense is not said here."""
        assert decode({"execEndpoint": "/a"}, "/b").header.exec_endpoint == "/b"
        for body in ({}, {"execEndpoint": ""}):
            assert decode(body, None).header.exec_endpoint == ""

    def test_numbers(self) -> None:
        """Whole numbers within ±2^53 are ints, at every level, however they are written."""
        found = decode(
            b'{"parameters": {"a": 5.0, "b": [1.0, {"c": 2.0}], "d": 1.5, "e": 1e300, "f": 9007199254740993}}'
        )
        assert found.parameters == {"a": 5, "b": [1, {"c": 2}], "d": 1.5, "e": 1e300, "f": 9007199254740993}
        assert [type(found.parameters[name]) for name in "adef"] == [int, float, float, int]

    def test_settings(self) -> None:
        """Id, target, timeout and arrays; the names of today and of before."""
        body = {"requestId": "r", "targetPeapod": "t", "timeout": 2.5, "arrays": "list"}
        found = decode(body)
        assert (found.request_id, found.header.target_peapod, found.timeout, found.arrays) == ("r", "t", 2.5, "list")
        assert decode({"target_executor": "t"}).header.target_peapod == "t"
        assert decode({"header": {"target_peapod": "t"}}).header.target_peapod == "t"

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"data": "\xff"}', b"{}x", b"[" * 10_000])
    def test_not_json(self, body: bytes) -> None:
        """Bytes that do not parse are a `BadRequest`."""
        with pytest.raises(BadRequest):
            decode(body)

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ([], ""),
            ({"data": 5}, "/data"),
            ({"data": [5]}, "/data/0"),
            ({"data": {"text": 5}}, "/data/text"),
            ({"data": {"docs": [{"mime_type": 5}]}}, "/data/docs/0/mime_type"),
            ({"data": [{"text": "a"}, {"text": "a", "uri": "b"}]}, "/data/1"),
            ({"data": {"docs": [], "groundtruths": [{"text": "a", "uri": "b"}]}}, "/data/groundtruths/0"),
            ({"data": [{"chunks": [{"embedding": [[1], [1, 2]]}]}]}, "/data/0/chunks/0/embedding"),
            ({"parameters": []}, "/parameters"),
            ({"timeout": 0}, "/timeout"),
            ({"timeout": 5e-324}, "/timeout"),
            ({"cancel": None}, "/cancel"),
            ({"strange": None}, "/strange"),
            ({"timeout": "soon"}, "/timeout"),
            ({"arrays": "xml"}, "/arrays"),
            ({"what": 1}, "/what"),
            ({"request_id": 5}, "/request_id"),
        ],
    )
    def test_wrong_place_is_named(self, body: Any, pointer: str) -> None:
        """A field that is wrong is named where the caller wrote it."""
        with pytest.raises(ValidationError) as wrong:
            decode(body)
        assert wrong.value.errors[0].pointer == pointer

    def test_too_deep(self) -> None:
        """Parameters, tags and documents nest 32 levels, not more."""
        deep: dict[str, Any] = {}
        for _ in range(33):
            deep = {"a": deep}
        with pytest.raises(ValidationError):
            decode({"parameters": deep})
        with pytest.raises(FlowError):
            decode(b'{"data":' + b'[{"chunks":' * 2000 + b"[]" + b"}]" * 2000 + b"}")

    @given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
    def test_garbage(self, body: bytes) -> None:
        """Whatever comes, it is a request or one of our errors."""
        try:
            decode(body)
        except FlowError as error:
            assert isinstance(error, BadRequest | ValidationError)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "data",
                            "docs",
                            "text",
                            "tags",
                            "embedding",
                            "blob",
                            "dense",
                            "sparse",
                            "chunks",
                            "scores",
                            "graph",
                            "buffer",
                            "shape",
                        ]
                    ),
                    inner,
                    max_size=3,
                )
            ),
        )
    )
    def test_strange_json(self, body: Any) -> None:
        """The same for JSON that looks like ours."""
        try:
            decode({"data": body})
        except FlowError as error:
            assert isinstance(error, BadRequest | ValidationError)


class TestAnswer:
    def test_spelt_out(self) -> None:
        """Every field is there, as in the seed document."""
        answer = encode(decode(b'{"data": [{"text": "hello world"}],"execEndpoint": "/index"}', None))
        (document,) = answer["data"]["docs"]
        assert document == {
            "id": document["id"], "granularity": 0, "adjacency": 0, "parentId": "", "text": "hello world", "chunks": [],
            "weight": 0.0, "matches": [], "mimeType": "", "tags": {}, "location": [], "offset": 0, "embedding": None,
            "scores": {}, "modality": "", "evaluations": {},
        }  # fmt: skip
        assert answer == {
            "requestId": answer["requestId"],
            "data": {"docs": [document], "groundtruths": []},
            "header": {"execEndpoint": "/index", "targetPeapod": "", "noPropagate": False},
            "parameters": {},
            "routes": [
                {
                    "pod": "gateway", "podId": "g", "status": None,
                    "startTime": "2026-11-23T09:11:57.900436Z", "endTime": "2026-11-23T09:11:57.900436Z",
                }
            ],
            "status": {"code": 0, "description": "", "exception": None},
        }  # fmt: skip

    def test_recorded_array(self) -> None:
        """The array of the old system's recorded answer."""
        dense = {"dense": {"buffer": "AACAPwAAAEA=", "shape": [2], "dtype": "<f4"}}
        (document,) = encode(decode({"data": [{"embedding": dense}]}))["data"]["docs"]
        rest = {"quantization": 0, "maxVal": 0.0, "minVal": 0.0, "scale": 0.0, "originalDtype": ""}
        assert document["embedding"] == {"dense": dense["dense"] | rest}
        assert "text" not in document

    def test_arrays_as_lists(self) -> None:
        """``arrays: list`` spells arrays as numbers, and changes no document that somebody keeps."""
        kept = Document(embedding=[1.5, 2.0], chunks=[Document(blob=[[1]])])
        (document,) = encode(request(kept, arrays="list"))["data"]["docs"]
        assert document["embedding"] == [1.5, 2.0]
        assert document["chunks"][0]["blob"] == [[1]]
        assert kept.embedding.tolist() == [1.5, 2.0]

    @given(documents(), TAGS)
    def test_round_trip(self, document: Document, parameters: dict[str, Any]) -> None:
        """What an answer says, a request says too."""
        answer = encode(request(document, parameters=parameters))
        again = decode({name: answer[name] for name in ("requestId", "data", "parameters")})
        assert again.docs[0] == document
        assert again.parameters == parameters
        assert encode(again)["data"] == answer["data"]


def test_byte_order_mark() -> None:
    """Some programs write one before JSON; it says nothing. A second one is no JSON, nor is one anywhere else."""
    body = b'{"data": ["a"], "execEndpoint": "/x"}'
    mark = "\ufeff".encode()
    large = body.replace(b'"a"', b'"a"' + b',"a"' * 400_000)
    assert codec.decode_request(mark + body, None, Limits()).docs.texts == ["a"]

    def in_steps(body: bytes) -> Any:
        return (yield from codec.decode_in_steps(body, None, Limits(max_documents=500_000)) or ())

    reading, ended = in_steps(mark + large), None
    while ended is None:
        try:
            next(reading)
        except StopIteration as stopped:
            ended = stopped.value
    assert len(ended.docs) == 400_001
    for wrong in (mark + mark + body, body + mark, mark):
        with pytest.raises(BadRequest):
            codec.decode_request(wrong, None, Limits())
