"""Requests taken apart by hand are what protobuf's own reader reads, whatever the bytes."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.document.protobuf.test_quick import PLAIN, told
from tests.documents import TAGS
from tests.support import request
from twisted_flow import Document
from twisted_flow.codec.envelope import RequestProto, parse_envelope
from twisted_flow.codec.protobuf import encode_request
from twisted_flow.document.protobuf.descriptor import message
from twisted_flow.document.protobuf.read import read_messages, read_struct
from twisted_flow.errors import BadRequest
from twisted_flow.limits import Limits


def by_protobuf(body: bytes) -> Any:
    try:
        proto = RequestProto.FromString(body)
    except DecodeError:
        return None
    documents = [told(document) for document in read_messages(proto.data.docs)]
    parameters = json.dumps(read_struct(proto.parameters), sort_keys=True)
    rest = repr(proto.timeout), len(proto.routes), proto.HasField("control"), proto.header.exec_endpoint
    return proto.request_id, documents, parameters, *rest


def by_hand(body: bytes) -> Any:
    try:
        read = parse_envelope(body, Limits())
        header = message("jina.HeaderProto").FromString(read.header or b"")
        for route in read.routes:
            message("jina.RouteProto").FromString(route)
        message("jina.StatusProto").FromString(read.status or b"")
        message("jina.RequestProto.ControlRequestProto").FromString(read.control or b"")
    except (BadRequest, DecodeError):
        return None
    documents = [told(document) for document in read.docs] if read.control is None else []
    parameters = json.dumps(read.parameters, sort_keys=True)
    rest = repr(read.timeout), len(read.routes), read.control is not None, header.exec_endpoint
    return read.request_id, documents, parameters, *rest


@settings(max_examples=300)
@given(st.lists(PLAIN, max_size=2), TAGS, st.none() | st.just(2.5), st.data())
def test_broken(documents: list[Document], parameters: dict[str, Any], timeout: float | None, data: Any) -> None:
    """Any request, with a byte that is another, that is missing, or one too many."""
    body = encode_request(request(*documents, parameters=parameters, timeout=timeout))
    at = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.binary(max_size=2) | st.sampled_from([b"\0", bytes([body[at] ^ 1]), body[:at][-9:]]))
    broken = body[:at] + other + body[at + 1 :]
    assert by_hand(broken) == by_protobuf(broken)


@given(st.lists(PLAIN, max_size=2), TAGS)
def test_plain(documents: list[Document], parameters: dict[str, Any]) -> None:
    """Any request, and twice the same in one: protobuf puts the documents one behind the other."""
    body = encode_request(request(*documents, parameters=parameters))
    assert by_hand(body) == by_protobuf(body)
    assert by_hand(body + body) == by_protobuf(body + body)
