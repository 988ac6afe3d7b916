"""Which heads are plain: they say nothing that matters but their route and the length of their body.

Heads repeat from request to request, so what a plain head means is remembered, and parsed only when it is new.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from ...limits import Limits
from ..request_id import request_id_in
from .action import Action
from .head import Head, read_head

__all__ = ["IGNORED", "PLAIN", "Heads", "Meaning"]

PLAIN: dict[bytes, frozenset[bytes] | None] = {
    b"accept": frozenset({b"*/*", b"application/json"}),
    b"connection": frozenset({b"keep-alive", b"Keep-Alive"}),
    b"content-length": None,
    b"content-type": frozenset(
        {b"application/json", b"application/json; charset=utf-8", b"application/x-www-form-urlencoded"}
    ),
    b"host": None,
    b"sec-fetch-site": frozenset({b"same-origin", b"same-site", b"none"}),
    b"x-request-id": None,
}
"""Header fields that matter, with the values that say nothing out of the ordinary; None: judged by itself."""

IGNORED = frozenset(
    b"accept-encoding accept-language cache-control dnt postman-token pragma priority referer "
    b"sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode user-agent".split()
)
"""Header fields that nobody here looks at, on either way."""

_REMEMBERED, _REMEMBERED_SIZE = 1000, 2048  # heads, and bytes of each


class Meaning(Struct, frozen=True):
    """What a plain head says."""

    action: Action
    length: int
    """Of the body."""
    request_id: str = ""
    """The request's, if the head names one that may be."""


class Heads:
    """What heads mean.

    :param actions: the plain routes: method and target to what they do.
    :param hosts: the names that the server may be asked by; none: any.
    """

    def __init__(
        self, actions: Mapping[tuple[bytes, bytes], Action], limits: Limits, hosts: tuple[str, ...] = ()
    ) -> None:
        self.actions, self.limits, self.hosts = actions, limits, hosts
        self._known: dict[bytes, Meaning] = {}

    def meaning(self, raw: bytes) -> Meaning | None:
        """What the head *raw* says; None where it is not plain.

        :raises Refused: where it must not be taken for a request.
        """
        meaning = self._known.get(raw)
        if meaning is None:
            meaning = self._judged(read_head(raw, self.limits, self.hosts))
            if meaning is not None and not meaning.request_id and len(raw) <= _REMEMBERED_SIZE:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[raw] = meaning
        return meaning

    def _judged(self, head: Head) -> Meaning | None:
        action = self.actions.get((head.method, head.target))
        if action is None or head.version != "1.1":
            return None
        seen: set[bytes] = set()
        length, request_id = b"0", ""
        for name, value in head.fields:
            if name in IGNORED:
                continue
            if name not in PLAIN or name in seen:
                return None
            seen.add(name)
            allowed = PLAIN[name]
            if allowed is not None and value not in allowed:
                return None
            if name == b"content-length":
                length = value
            elif name == b"x-request-id":
                request_id = request_id_in(value)
        if head.method != b"GET" and b"content-length" not in seen:
            return None
        return Meaning(action, int(length), request_id) if int(length) <= self.limits.max_body else None
