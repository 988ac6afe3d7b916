"""The docs pages, from the package's own files and offapi's; nothing is loaded from elsewhere."""

from __future__ import annotations

import hashlib
import html
import importlib.util
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

__all__ = ["Page", "pages"]

_OWN = pathlib.Path(__file__).with_name("static")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'"
)
_FILES = {
    "/docs/swagger.js": ("swagger_bundle.js", "text/javascript"),
    "/docs/swagger-preset.js": ("swagger_preset.js", "text/javascript"),
    "/docs/swagger.css": ("swagger_style.css", "text/css"),
    "/redoc/redoc.js": ("redoc.js", "text/javascript"),
}


class Page(Struct, frozen=True):
    """A page: its path and its handler."""

    path: str
    render: Callable[[object], bytes]
    """Klein's handler."""


def pages(title: str, openapi: bytes) -> Iterator[Page]:
    """The pages that show *openapi*, and the document itself."""
    yield Page("/openapi.json", _handler("application/json", lambda: openapi))
    for path, name in (("/docs", "swagger.html"), ("/redoc", "redoc.html")):
        text = (_OWN / name).read_text("utf-8").replace("{title}", html.escape(title))
        yield Page(path, _handler("text/html; charset=utf-8", text.encode))
    for path, name, media_type in (
        ("/docs/start.js", "swagger-start.js", "text/javascript"),
        ("/redoc/page.css", "redoc.css", "text/css"),
    ):
        yield Page(path, _handler(f"{media_type}; charset=utf-8", (_OWN / name).read_bytes))
    folder = _offapi()
    for path, (name, media_type) in _FILES.items():
        yield Page(path, _handler(f"{media_type}; charset=utf-8", (folder / name).read_bytes))


def _offapi() -> pathlib.Path:
    """Where offapi's files lie. It is not imported: its own code costs 58 MB."""
    spec = importlib.util.find_spec("offapi")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package offapi, whose files the docs pages need, is not installed")
    return pathlib.Path(spec.origin).parent


def _handler(media_type: str, content: Callable[[], bytes]) -> Callable[[object], bytes]:
    """Klein's handler for a page of *media_type*; its content is read when it is asked for."""

    def render(request: Any) -> bytes:
        body = content()
        request.setHeader(b"Content-Type", media_type.encode())
        request.setHeader(b"Cache-Control", b"no-cache")
        request.setHeader(b"Content-Security-Policy", _POLICY.encode())
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        if request.setETag(b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()):
            return b""  # the client has it
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return body

    return render
