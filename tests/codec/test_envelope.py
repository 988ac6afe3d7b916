"""Requests taken apart by hand are what protobuf's own reader reads, whatever the bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.document.protobuf.plain import PLAIN
from tests.documents import TAGS
from tests.envelopes import by_hand, by_protobuf
from tests.support import request
from twisted_flow import Document
from twisted_flow.codec.protobuf import encode_request


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
