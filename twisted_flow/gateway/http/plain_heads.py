"""Which heads are plain: they say nothing that decides how the request is read and answered but their route, the length
of their body, and what is handed on to who answers.

Heads repeat from request to request, so what a plain head means is remembered, and parsed only when it is new. What
belongs to one request (its id, its caller's credentials, its trace) is not remembered, but read each time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec.structs import replace

from ...codec.codecs import codec_of
from ...limits import Limits
from ...wire.http2.codes import PRIOR_KNOWLEDGE
from ..request_id import request_id_in
from .action import Action, PlainHead
from .event_streams import FORMS
from .head import Head, read_head

__all__ = ["IGNORED", "PLAIN", "PlainHeads"]

PLAIN: dict[bytes, frozenset[bytes] | None] = {
    b"accept": frozenset({b"*/*", b"application/json", *(each.encode() for each in FORMS)}),
    b"authorization": None,
    b"connection": frozenset({b"keep-alive", b"Keep-Alive"}),
    b"content-length": None,
    b"content-type": frozenset(
        {*(each.encode() for each in codec_of().media_types), b"application/json; charset=utf-8"}
    ),
    b"host": None,
    b"sec-fetch-site": frozenset({b"same-origin", b"same-site", b"none"}),
    b"traceparent": None,
    b"tracestate": None,
    b"x-request-id": None,
}
"""Header fields that matter, with the values that say nothing out of the ordinary; None: judged by itself."""

IGNORED = frozenset(
    b"accept-encoding accept-language cache-control dnt postman-token pragma priority referer "
    b"sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode user-agent".split()
)
"""Header fields that nobody here looks at, on either way."""

_OF_ONE_REQUEST = re.compile(
    rb"\r\n(authorization|traceparent|tracestate|x-request-id):[ \t]*([!-~](?:[ -~]*[!-~])?)[ \t]*(?=\r\n)",
    re.IGNORECASE,
)
"""The fields that belong to one request, where they are well formed."""

_ODD = re.compile(rb"\r\n(?:authorization|traceparent|tracestate|x-request-id)[ \t]*:", re.IGNORECASE)
_AUTHORIZATION = b"\r\nAuthorization: ", b"\r\nauthorization: "
_BEFORE = len(_AUTHORIZATION[0])
_VISIBLE = bytes(range(0x20, 0x7F))  # and spaces
_NOT_PLAIN: tuple[None, bytes] = None, b""

_REMEMBERED, _REMEMBERED_SIZE = 1000, 2048  # heads, and bytes of each


class PlainHeads:
    """What heads mean.

    :param actions: the plain routes: method and target to what they do.
    :param hosts: the names that the server may be asked by; none: any.
    :param prior_knowledge: whether a connection may begin with HTTP/2's preface, which looks like a head.
    """

    def __init__(
        self,
        actions: Mapping[tuple[bytes, bytes], Action],
        limits: Limits,
        hosts: tuple[str, ...] = (),
        prior_knowledge: bool = False,
    ) -> None:
        self._prior_knowledge = prior_knowledge
        self.actions, self.limits, self.hosts = actions, limits, hosts
        self._most = min(_REMEMBERED_SIZE, limits.max_headers_size)
        self._known: dict[bytes, tuple[PlainHead, bytes]] = {}

    def forget(self) -> None:
        """What is remembered may hold no more."""
        self._known.clear()

    def read(self, raw: bytes) -> tuple[PlainHead | None, bytes]:
        """What the head *raw* says, None where it is not plain; and its ``Authorization``, which is for who
        authenticates, and never for the log.

        :raises Refused: where it must not be taken for a request.
        """
        return self._known.get(raw) or self._known_but_for_credentials(raw) or self._read(raw)

    def _read(self, raw: bytes) -> tuple[PlainHead | None, bytes]:
        if raw == PRIOR_KNOWLEDGE and self._prior_knowledge:
            return _NOT_PLAIN
        if len(raw) > self._most:
            return self._judged(read_head(raw, self.limits, self.hosts))
        own = {name.lower(): value for name, value in _OF_ONE_REQUEST.findall(raw)}
        shared = _OF_ONE_REQUEST.sub(b"", raw) if own else raw
        known, _ = self._known.get(shared, _NOT_PLAIN)
        if known is not None and raw.count(b"\r\n") == shared.count(b"\r\n") + len(own) <= self.limits.max_headers:
            return _with_own(known, own)
        judged = self._judged(read_head(raw, self.limits, self.hosts))
        head = judged[0]
        # What is oddly written is not remembered, where it is of one request.
        if head is not None and _ODD.search(shared) is None and _with_own(head, own) == judged:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            full = shared.count(b"\r\n") - 2 >= self.limits.max_headers
            self._known[shared] = replace(_with_own(head, {})[0], full=full), b""
        return judged

    def _known_but_for_credentials(self, raw: bytes) -> tuple[PlainHead, bytes] | None:
        """What *raw* says, where all but its Authorization is remembered, and that is plainly written; so are most that
        have one.
        """
        at = raw.find(_AUTHORIZATION[0])
        if at < 0:
            at = raw.find(_AUTHORIZATION[1])
        if at < 0 or len(raw) > self._most:
            return None
        end = raw.find(b"\r", at + 2)
        known, _ = self._known.get(raw[:at] + raw[end:], _NOT_PLAIN)
        if known is None or known.full:
            return None
        said = raw[at + _BEFORE : end]
        return None if said.translate(None, _VISIBLE) else (known, said.strip(b" "))

    def _judged(self, head: Head) -> tuple[PlainHead | None, bytes]:
        action = self.actions.get((head.method, head.target))
        if action is None or head.version != "1.1":
            return _NOT_PLAIN
        said: dict[bytes, bytes] = {}
        for name, value in head.fields:
            if name in IGNORED:
                continue
            if name not in PLAIN or name in said:
                return _NOT_PLAIN
            said[name] = value
            allowed = PLAIN[name]
            if allowed is not None and value not in allowed:
                return _NOT_PLAIN
        length = int(said.get(b"content-length", b"0"))
        if (head.method != b"GET" and b"content-length" not in said) or length > self.limits.max_body:
            return _NOT_PLAIN
        shared = PlainHead(action, length, said.get(b"accept", b""), said.get(b"content-type", b""))
        return _with_own(shared, said)


def _with_own(head: PlainHead, fields: Mapping[bytes, bytes]) -> tuple[PlainHead, bytes]:
    """*head*, with what *fields* say of one request; and its credentials."""
    own = replace(
        head,
        request_id=request_id_in(fields.get(b"x-request-id")),
        traceparent=fields.get(b"traceparent", b""),
        tracestate=fields.get(b"tracestate", b""),
    )
    return own, fields.get(b"authorization", b"")
