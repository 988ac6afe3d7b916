"""Which pages may ask: those of the server's own origin, and those that CORS allows (the Fetch standard, RFC 6454)."""

from __future__ import annotations

from twisted.web.http import Request

from ...errors import PermissionDenied

__all__ = ["Origins"]

_FILE = "file://"  # what Chromium says of a page that is a file, on a WebSocket; in a fetch it says null, as others do
_USUAL = {"http": ":80", "https": ":443"}


class Origins:
    """Whose pages may ask.

    :param cors: beside the server's own: none, all, or those of the origins named.
    """

    def __init__(self, cors: bool | tuple[str, ...]) -> None:
        self.cors = cors

    def allowed(self, origin: str) -> bool:
        """Whether CORS allows *origin*."""
        if origin == _FILE:
            origin = "null"
        return self.cors is True or (isinstance(self.cors, tuple) and origin in self.cors)

    def may_ask(self, request: Request) -> bool:
        """Whether *request* comes from no page, from one of ours, or from one that may.

        A form of another page needs no preflight, and would be answered; its browser says where it comes from.
        """
        origin = request.getHeader(b"origin")
        if origin is None:
            return self.cors is True or request.getHeader(b"sec-fetch-site") != b"cross-site"
        named = origin.decode("latin-1")
        return self.allowed(named) or _is_own(named, (request.getHeader(b"host") or b"").decode("latin-1"))

    def check(self, request: Request) -> None:
        """Hold *request* to that.

        :raises PermissionDenied: if it may not ask.
        """
        if not self.may_ask(request):
            raise PermissionDenied("this origin is not allowed")

    def answer_fields(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        """The fields of an answer to a page of *origin*, which tell its browser whether it may see it."""
        if not self.cors or origin is None:
            return []
        if self.cors is True:
            return [(b"Access-Control-Allow-Origin", b"*"), _EXPOSED]
        fields = [(b"Vary", b"Origin")]
        if self.allowed(origin.decode("latin-1")):
            fields += [(b"Access-Control-Allow-Origin", origin), _EXPOSED]
        return fields


_EXPOSED = (b"Access-Control-Expose-Headers", b"Retry-After, X-Request-ID")


def _is_own(origin: str, host: str) -> bool:
    scheme, _, authority = origin.lower().partition("://")
    usual = _USUAL.get(scheme)
    return usual is not None and authority.removesuffix(usual) == host.lower().removesuffix(usual)
