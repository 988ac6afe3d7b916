"""Requests as lines of JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from tests.documents import documents
from twisted_flow.codec import json as by_json
from twisted_flow.codec import json_lines
from twisted_flow.document import Document
from twisted_flow.errors import BadRequest, FlowError, PayloadTooLarge, ValidationError
from twisted_flow.interfaces import ICodec
from twisted_flow.limits import Limits
from twisted_flow.message import Request


def decode(body: bytes | str, endpoint: str | None = "/x", limits: Limits | None = None) -> Request:
    raw = body.encode() if isinstance(body, str) else body
    return json_lines.decode_request(raw, endpoint, limits or Limits())


def test_provides() -> None:
    """It is a codec."""
    assert verifyObject(ICodec, json_lines)


@given(st.lists(documents(), max_size=8), st.sampled_from(["\n", "\r\n", "\n\n \n"]), st.booleans())
def test_as_json_has_them(docs: list[Document], between: str, end: bool) -> None:
    """The lines are the documents that a list in JSON has."""
    lines = [json.dumps(each.to_dict()) for each in docs]
    listed = by_json.decode_request(b'{"data": [%b]}' % ",".join(lines).encode(), "/x", Limits())
    assert decode(between.join(lines) + (between if end else "")).docs == listed.docs


@pytest.mark.parametrize("number", [1, 30, 20_000])
def test_in_steps(number: int) -> None:
    """Many of them are read a few at a time, and none is lost, nor taken twice."""
    body = "\n".join(json.dumps({"id": str(n), "text": "x" * (n % 50)}) for n in range(number)).encode()
    steps = json_lines.decode_in_steps(body, "/x", Limits())
    if number == 20_000:
        assert steps is not None
        turns = 0
        while True:
            try:
                next(steps)
                turns += 1
            except StopIteration as read:
                request = read.value
                break
        assert turns > 20
    else:
        assert steps is None
        request = decode(body)
    assert [each.id for each in request.docs] == [str(n) for n in range(number)]


def test_blank_lines_are_no_way_to_stop_it() -> None:
    """Millions of them are passed over in steps."""
    steps = json_lines.decode_in_steps(b"\n" * 300_000 + b'{"text": "a"}', "/x", Limits())
    assert steps is not None
    assert sum(1 for _ in steps) > 100


def test_a_request_before_them() -> None:
    """The first line may say what else there is to say, with documents or without."""
    head = {"execEndpoint": "/chat", "parameters": {"temperature": 0.5}, "requestId": "r1", "timeout": 5}
    request = decode(f'{json.dumps(head)}\n{{"text": "a"}}\n"b"\n', None)
    assert request.header.exec_endpoint == "/chat"
    assert (request.parameters, request.request_id, request.timeout) == ({"temperature": 0.5}, "r1", 5)
    assert request.docs.texts == ["a", "b"]
    assert decode('{"data": []}\n"b"').docs.texts == ["b"]
    with pytest.raises(ValidationError, match="has a line of its own"):
        decode('{"data": ["a"]}\n"b"')
    assert decode('{"exec_endpoint": "/chat"}', None).header.exec_endpoint == "/chat"


def test_spellings() -> None:
    """A document is spelt as in JSON: other keys become tags, a text stands for one with it."""
    first, second, third = decode('{"mime_type": "a/b", "colour": "red"}\n"text"\n{}').docs
    assert (first.mime_type, first.tags, second.text) == ("a/b", {"colour": "red"}, "text")
    assert third.id


@pytest.mark.parametrize("body", ["", "\n\n", "\ufeff\n"])
def test_nothing(body: str) -> None:
    """No documents are a request too."""
    assert decode(body).docs == []


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ('{"text": "a"}\n{"text": 5}', ValidationError, "/data/1/text"),
        ('"a","b"', BadRequest, "1 lines are 2 documents"),
        ('{"text": "a"\n"tags": {}}', BadRequest, "2 lines are 1 documents"),
        ('{"text": "a"}\n{"text": ', BadRequest, "not JSON"),
        ("{", BadRequest, "not JSON"),
        (b"\xff\xfe", BadRequest, "not JSON"),
        ('{"parameters": 5}', ValidationError, "/parameters"),
        ('{"requestId": "r9"}\n{"weight": "x"}', ValidationError, "/data/0/weight"),
    ],
)
def test_errors(body: Any, error: type[FlowError], said: str) -> None:
    """They name the document and its field."""
    with pytest.raises(error) as raised:
        decode(body)
    assert said in str([str(raised.value), raised.value.errors])
    if "r9" in str(body):
        assert raised.value.request_id == "r9"


def test_the_field_behind_many() -> None:
    """A mistake is named by its line's number, however far down it is."""
    body = '{"text": "a"}\n' * 5000 + '{"text": 5}'
    with pytest.raises(ValidationError) as raised:
        decode(body)
    assert raised.value.errors[0].pointer == "/data/5000/text"


def test_bounds() -> None:
    """As many documents as elsewhere."""
    with pytest.raises(PayloadTooLarge, match="more than 10 documents"):
        decode('{"chunks": [{}, {}]}\n' * 4, limits=Limits(max_documents=10, max_body=80))
    with pytest.raises(PayloadTooLarge, match="more than 10 documents"):
        decode('"x"\n' * 11, limits=Limits(max_documents=10))


def test_encoded() -> None:
    """What it writes is a request that it reads."""
    request = decode('{"requestId": "r1", "parameters": {"a": 1}}\n"b"')
    again = decode(json_lines.encode_request(request))
    assert (again.docs, again.parameters) == (request.docs, request.parameters)


@pytest.mark.parametrize("line", ['{"tags": {"x": [%s]}}' % ("[]," * 700_000 + "[]"), '{"parameters": {"x": [%s]}}'])
def test_values_are_counted(line: str) -> None:
    """What a line takes in memory is bounded as it is in JSON, and looked at in steps."""
    if "%s" in line:
        line %= "[]," * 700_000 + "[]"
    steps = json_lines.decode_in_steps(line.encode(), "/x", Limits(max_values=100_000))
    assert steps is not None
    with pytest.raises(PayloadTooLarge):
        for _ in steps:
            pass
