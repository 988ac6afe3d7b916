"""The root resource: what comes before any route. Methods that ask about a path, and other origins' pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ...answer import refuse
from ...errors import BadRequest, NotFound, PermissionDenied
from ...security.guard import Caller
from .answer_bytes import SERVER
from .app import App
from .request import FlowRequest
from .writing import write

__all__ = ["RootResource", "Upgrade"]

Upgrade = Callable[[object, bytes, Caller | None], object]
"""Makes the protocol that takes over a connection, from its transport, the bytes of the request, and who asks."""

_MAX_AGE = b"600"  # seconds for which a browser may remember a preflight's answer


@implementer(IResource)
class RootResource(Resource):
    """See the module.

    :param app: the routes.
    :param upgrade: makes a WebSocket of a request; None: there is none.
    """

    isLeaf = True

    def __init__(self, app: App, upgrade: Upgrade | None = None) -> None:
        super().__init__()
        self.app, self.origins, self.upgrade = app, app.origins, upgrade
        self.inner: Any = app.klein.resource()

    def render(self, request: FlowRequest) -> object:
        """Answer, or leave it to Klein."""
        request.setHeader(b"Server", SERVER)
        self._allow_origin(request)
        try:
            path = unquote_to_bytes(request.path).decode()
        except UnicodeDecodeError:
            return write(request, refuse(BadRequest("the path is not UTF-8"), self.app.entry))
        if path == "/" and self.upgrade is not None:
            return self._websocket(request)
        if request.method == b"OPTIONS":
            return self._options(request, path)
        return self.inner.render(request)

    def _allow_origin(self, request: FlowRequest) -> None:
        for name, value in self.origins.answer_fields(request.getHeader(b"origin")):
            request.setHeader(name, value)

    def _websocket(self, request: FlowRequest) -> bytes | int:
        asked = (request.getHeader(b"upgrade") or b"").lower() == b"websocket"
        if not asked or request.clientproto != b"HTTP/1.1":  # RFC 9110 section 7.8: in HTTP/1.0 it says nothing
            request.setHeader(b"Upgrade", b"websocket")
            error = BadRequest("this path accepts WebSocket only")
            error.http_status = 426
            return write(request, refuse(error, self.app.entry))
        try:
            self.origins.check(request)
        except PermissionDenied as denied:
            return write(request, refuse(denied, self.app.entry))
        request.channel.upgrade(self.upgrade, request)
        return NOT_DONE_YET

    def _options(self, request: FlowRequest, path: str) -> bytes:
        methods = self.app.methods(path)
        if not methods:
            return write(request, refuse(NotFound(f"there is no {path} here"), self.app.entry))
        allowed = ", ".join([*methods, "OPTIONS"]).encode()
        request.setResponseCode(204)
        request.setHeader(b"Allow", allowed)
        if request.responseHeaders.hasHeader(b"Access-Control-Allow-Origin"):
            request.setHeader(b"Access-Control-Allow-Methods", allowed)
            asked = request.getHeader(b"access-control-request-headers")
            if asked is not None:
                request.setHeader(b"Access-Control-Allow-Headers", asked)
            request.setHeader(b"Access-Control-Max-Age", _MAX_AGE)
        return b""
