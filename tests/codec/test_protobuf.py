"""Requests and answers in protobuf, and how they agree with JSON."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from tests.documents import TAGS, documents
from tests.support import ROOT, request
from tests.wire_samples import R1, R2, R3
from twisted_flow import Document
from twisted_flow.codec import json, protobuf
from twisted_flow.codec.envelope import RequestProto
from twisted_flow.document.protobuf.read import DocumentProto
from twisted_flow.errors import BadRequest, FlowError, ValidationError
from twisted_flow.interfaces import ICodec
from twisted_flow.limits import Limits
from twisted_flow.message import Request, Response

ANSWER_R3 = "0a0272331a0022080a062f696e64657832490a0767617465776179122465656163623030382d373361662d343039652d396433632d6630343962383164636364651a0b08bbb992d80610f09f8018220b08bbb992d80610a0a6831a32510a0f706f64302f5a454452756e74696d65122461666366663061312d313033352d343039332d626538662d3138383462396534623630331a0b08bbb992d80610d8bcb019220b08bbb992d8061080e8b9193a00"


def decode(body: bytes) -> Request:
    return protobuf.decode_request(body, None, Limits())


def answer(asked: Request) -> bytes:
    return protobuf.encode_response(Response(asked, asked.docs, asked.groundtruths, []), Limits())


def test_provides() -> None:
    """The module provides `ICodec`."""
    verifyObject(ICodec, protobuf)


def test_compiled() -> None:
    """The descriptors that the package carries are those of ``proto/``."""
    out = ROOT / ".pytest_cache/proto.binpb"
    out.parent.mkdir(exist_ok=True)
    sources = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Iproto", "--include_imports", f"--descriptor_set_out={out}"]
    subprocess.run([*command, *sources], cwd=ROOT, check=True, timeout=60)
    carried = (ROOT / "twisted_flow/document/protobuf/proto.binpb").read_bytes()
    fresh, old = (descriptor_pb2.FileDescriptorSet.FromString(each) for each in (out.read_bytes(), carried))
    assert {file.name: file for file in fresh.file} == {file.name: file for file in old.file}


class TestRecorded:
    def test_r1(self) -> None:
        """One document with everything: read, and written back byte for byte."""
        asked = decode(bytes.fromhex(R1))
        (document,) = asked.docs
        assert (asked.request_id, asked.header.exec_endpoint, asked.parameters) == ("r1", "/index", {"top_k": 5})
        assert isinstance(asked.parameters["top_k"], int)
        assert (document.id, document.text, document.mime_type) == ("d1", "hello world", "text/plain")
        assert document.tags == {"a": 1}
        assert (document.chunks[0].id, document.chunks[0].text) == ("c1", "in")
        assert document.embedding.tolist() == [1, 2]
        assert document.embedding.dtype == np.float32
        assert protobuf.encode_request(asked).hex() == R1
        assert answer(asked).hex() == R1 + "3a00"  # an empty status, for success

    @pytest.mark.parametrize("raw", [R2, R3])
    def test_small(self, raw: str) -> None:
        """A document that is its id alone; no documents at all, with ``data`` present and empty."""
        assert protobuf.encode_request(decode(bytes.fromhex(raw))).hex() == raw

    def test_answer(self) -> None:
        """An answer of the old system's, with its routes."""
        read = protobuf.decode_response(bytes.fromhex(ANSWER_R3))
        assert [route.pod for route in read.routes] == ["gateway", "pod0/ZEDRuntime"]
        assert read.routes[0].start_time < read.routes[0].end_time
        assert (read.request.request_id, read.status.code) == ("r3", 0)
        again = protobuf.decode_response(protobuf.encode_response(read, Limits()))
        assert (again.routes, again.status) == (read.routes, read.status)


class TestErrors:
    @pytest.mark.parametrize(
        "body",
        [
            b"\x00",
            b"\xff" * 9,
            b"\x0a\x05a",
            b"\x22\x02\x0a\x05",  # a header that is cut off
            b"\x12\x02\x0a\x05",  # a control
            b"\x1a\x04\x0a\x02\x0a\x05",  # a document
            b"\x22\x03\x0a\x01/\xa1\x06\x00",  # a timeout
            b"\x22\x03\x0a\x01/\x2a\x02\x0a\x05",  # parameters
        ],
    )
    def test_not_protobuf(self, body: bytes) -> None:
        """Bytes that do not parse are a `BadRequest`."""
        with pytest.raises(BadRequest):
            decode(body)

    @pytest.mark.parametrize("body", [b"\x32\x02\x0a\x05", b"\x3a\x02\x0a\x05", b"\x22\x02\x0a\x05", b"\x0a\x05"])
    def test_not_an_answer(self, body: bytes) -> None:
        """Nor do they make an answer: a route, a status, a header that is cut off."""
        with pytest.raises(BadRequest):
            protobuf.decode_response(body)

    def test_wrong_place_is_named(self) -> None:
        """A field that is wrong is named, and so is the request."""
        proto = protobuf.RequestProto(request_id="r9")
        proto.header.exec_endpoint = "/x"
        proto.data.docs.add().embedding.dense.shape.append(3)
        with pytest.raises(ValidationError, match="/data/docs/0/embedding") as wrong:
            decode(proto.SerializeToString())
        assert wrong.value.request_id == "r9"

    def test_too_deep(self) -> None:
        """Documents and tags nest 32 levels, not more."""
        document = Document()
        for _ in range(32):
            document = Document(chunks=[document])
        with pytest.raises(TypeError, match="levels deep"):
            protobuf.encode_request(request(document))
        asked = RequestProto.FromString(protobuf.encode_request(request(document.chunks[0])))
        inner = DocumentProto.FromString(asked.data.docs[0].SerializeToString())
        del asked.data.docs[:]
        asked.data.docs.add().chunks.append(inner)
        with pytest.raises(FlowError):
            decode(asked.SerializeToString())
        deep: dict[str, Any] = {}
        for _ in range(33):
            deep = {"a": deep}
        with pytest.raises(TypeError, match="levels deep"):
            protobuf.encode_request(request(parameters=deep))
        asked = RequestProto()
        asked.parameters.update(deep)
        with pytest.raises(FlowError):
            decode(asked.SerializeToString())

    def test_cancel(self) -> None:
        """A control request cancels; no other command is known."""
        proto = protobuf.RequestProto(request_id="r1")
        proto.control.command = proto.control.CANCEL
        asked = decode(proto.SerializeToString())
        assert (asked.cancels, asked.request_id) == (True, "r1")
        proto.control.command = proto.control.TERMINATE
        with pytest.raises(ValidationError, match="/control/command"):
            decode(proto.SerializeToString())

    def test_both_bodies(self) -> None:
        """Of a body that is data and control the last one counts, as protobuf has it."""
        control, data = b"\x12\x02\x08\x03", b"\x1a\x06\x0a\x04\x0a\x02d1"
        rest = b"\x0a\x02r1\x22\x03\x0a\x01/"
        assert decode(rest + data + control).cancels
        asked = decode(rest + control + data)
        assert (asked.cancels, [document.id for document in asked.docs]) == (False, ["d1"])

    @given(st.binary(max_size=80))
    def test_garbage(self, body: bytes) -> None:
        """Whatever comes, it is a request or one of our errors."""
        try:
            decode(body)
        except FlowError:
            pass


class TestAgreement:
    @given(documents(), TAGS)
    def test_round_trip(self, document: Document, parameters: dict[str, Any]) -> None:
        """What is written is read."""
        again = decode(protobuf.encode_request(request(document, parameters=parameters, timeout=2.5)))
        assert again.docs[0] == document
        assert again.parameters == parameters
        assert again.timeout == 2.5

    @given(documents(), TAGS)
    def test_with_json(self, document: Document, parameters: dict[str, Any]) -> None:
        """A document says the same in JSON, after having been protobuf, and the other way round."""
        by_protobuf = decode(protobuf.encode_request(request(document, parameters=parameters)))
        assert by_protobuf.docs[0].to_dict() == document.to_dict()
        told = json.encode_response(Response(by_protobuf, by_protobuf.docs, by_protobuf.groundtruths, []), Limits())
        by_json = json.decode_request(
            b'{"data":' + msgspec.json.encode(msgspec.json.decode(told)["data"]) + b"}", "/", Limits()
        )
        assert by_json.docs[0] == by_protobuf.docs[0] == document


@pytest.mark.parametrize("file_format", ["binary"])
def test_files(tmp_path: pathlib.Path, file_format: str) -> None:
    """A binary file of documents is a DocumentArrayProto."""
    from twisted_flow import DocumentArray
    from twisted_flow.document.protobuf.descriptor import message

    docs = DocumentArray([Document("a"), Document("b")])
    docs.save(tmp_path / "x", file_format)
    assert [doc.text for doc in message("jina.DocumentArrayProto").FromString((tmp_path / "x").read_bytes()).docs] == [
        "a",
        "b",
    ]
    assert Document.from_protobuf(docs[0].to_protobuf()) == docs[0]
