"""What the lane remembers of heads, and what belongs to one request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import HELLO, HTTP, post, replies
from twisted_flow.gateway.http.action import Action, PlainHead
from twisted_flow.gateway.http.head import Refused
from twisted_flow.gateway.http.lane import Lane
from twisted_flow.gateway.http.plain_heads import PlainHeads
from twisted_flow.limits import Limits

ACTION = Action(lambda body, head: None)  # type: ignore[arg-type, return-value]
PLAIN = b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n%b\r\n"


def heads(**limits: Any) -> PlainHeads:
    return PlainHeads({(b"POST", b"/post"): ACTION}, Limits(**limits))


def read(known: PlainHeads, raw: bytes) -> tuple[PlainHead | None, bytes] | str:
    """What *raw* says, or why it is refused."""
    try:
        return known.read(raw)
    except Refused as refused:
        return refused.error.detail


OWN = {
    "Authorization": "Bearer secret",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=1",
    "X-Request-ID": "r7",
}


class TestWhatIsHandedOn:
    @pytest.mark.parametrize("seen", [False, True], ids=["new", "seen before"])
    def test_of_one_request(self, seen: bool) -> None:
        """Credentials, trace and id, whether or not such a head was seen before; and what bodies are."""
        known = heads()
        fields = "".join(f"{name}: {value}\r\n" for name, value in OWN.items())
        raw = PLAIN % (fields + "Accept: */*\r\nContent-Type: application/json\r\n").encode()
        if seen:
            known.read(raw.replace(b"secret", b"other"))
        head, authorization = known.read(raw)
        assert head is not None
        assert (authorization, head.tracestate, head.request_id) == (b"Bearer secret", b"vendor=1", "r7")
        assert head.traceparent == OWN["traceparent"].encode()
        assert (head.accept, head.content_type, head.length) == (b"*/*", b"application/json", 2)

    def test_none_of_it_is_remembered(self) -> None:
        """A thousand callers are one head; no credentials are kept."""
        known = heads()
        for number in range(2000):
            known.read(PLAIN % b"Authorization: Bearer %d\r\nX-Request-ID: %d\r\n" % (number, number))
        assert len(known._known) == 1
        assert b"Bearer" not in b"".join(known._known)

    def test_on_the_lane(self) -> None:
        """A request with credentials stays there, and is answered as one without."""
        http = HTTP()
        wire = http.connect()
        wire.receive(post("/post", HELLO, "Authorization: Bearer x", "traceparent: 00-1-2-01") * 2)
        assert isinstance(wire.protocol, Lane)
        assert [reply.status for reply in replies(wire.value())] == [200, 200]

    @pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
    def test_twice(self, name: str) -> None:
        """Two credentials are refused, also where the same head with one was seen before."""
        known = heads()
        raw = PLAIN % b"Authorization: Bearer x\r\n"
        known.read(raw)
        twice = raw.replace(b"Host", f"{name}: Bearer y\r\nHost".encode())
        assert read(known, twice) == "more than one authorization field"
        assert read(known, twice) == "more than one authorization field"

    def test_forgotten(self) -> None:
        """When the flow behind it is another, nothing is known any more."""
        known = heads()
        known.read(PLAIN % b"")
        known.forget()
        assert not known._known

    def test_limits(self) -> None:
        """The bounds on a head hold for what is not remembered of it too."""
        known = heads(max_headers=3)
        assert known.read(PLAIN % b"X-Request-ID: a\r\n")[0] is not None
        assert read(known, PLAIN % b"X-Request-ID: a\r\nAuthorization: b\r\n") == "more than 3 header fields"


VALUES = st.sampled_from(["x", "Bearer y", "", " ", "a\tb", "\x00", "ü", "x" * 200, "a, b", "x\r\n y", "x\ny"])
FIELDS = st.lists(
    st.tuples(st.sampled_from([*OWN, "authorization", "Accept", "X-Other", "Host", "Content-Length"]), VALUES),
    max_size=5,
)


@given(st.lists(FIELDS, min_size=1, max_size=4))
def test_memory_changes_nothing(several: list[list[tuple[str, str]]]) -> None:
    """Whatever was seen before, a head is read as one that never was."""
    known = heads()
    for fields in several:
        raw = PLAIN % "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
        assert read(known, raw) == read(heads(), raw) == read(known, raw)
