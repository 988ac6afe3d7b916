"""What anybody may ask for, without credentials; and where credentials stand in a head."""

from __future__ import annotations

from collections.abc import Collection

from twisted.web.http_headers import Headers

from .origin import Origins

__all__ = ["OpenPaths", "path_of", "shown_in"]

_BEARER = b"bearer."  # before a token, as a WebSocket's subprotocol: a browser can set no header field there


class OpenPaths:
    """See the module: some paths, and preflights of pages that CORS may allow.

    :param paths: the paths.
    :param origins: whose pages may ask.
    """

    def __init__(self, paths: Collection[str], origins: Origins) -> None:
        self._paths = frozenset(path.encode() for path in paths)
        self._origins = origins

    def is_open(self, method: bytes, target: bytes, fields: Headers) -> bool:
        """Whether anybody may ask for that."""
        if path_of(target).partition(b"?")[0] in self._paths:
            return True
        asked = method == b"OPTIONS" and bool(self._origins.cors)
        return asked and fields.hasHeader(b"origin") and fields.hasHeader(b"access-control-request-method")


def path_of(target: bytes) -> bytes:
    """The path, and what stands behind it, of a request's target, also of one in absolute form (RFC 9112, 3.2)."""
    return target if target[:1] in (b"/", b"*") else b"/" + target.partition(b"://")[2].partition(b"/")[2]


def shown_in(target: bytes, fields: Headers) -> tuple[str, bytes]:
    """The protocol that a request for *target* asks for, and its ``Authorization``, or what stands for that."""
    upgrade = fields.getRawHeaders(b"upgrade", [b""])[0].lower()
    protocol = "websocket" if upgrade == b"websocket" and path_of(target).partition(b"?")[0] == b"/" else "http"
    authorization = fields.getRawHeaders(b"authorization", [b""])[0]
    if protocol == "websocket" and not authorization:
        offered = b",".join(fields.getRawHeaders(b"sec-websocket-protocol", [])).split(b",")
        tokens = [each.strip()[len(_BEARER) :] for each in offered if each.strip().startswith(_BEARER)]
        authorization = b"Bearer " + tokens[0] if len(tokens) == 1 else b""
    return protocol, authorization
