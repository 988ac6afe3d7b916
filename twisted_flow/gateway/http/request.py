"""A request of twisted.web's, whose body is bounded while it comes in."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.web.server import Request

from ...errors import PayloadTooLarge
from ...security.guard import Caller
from .head import Refused
from .open_paths import path_of

__all__ = ["FlowRequest"]


class FlowRequest(Request):
    """A request whose body is bounded while it comes in, and never lies in a file."""

    channel: Any
    content: Any
    announced = 0
    answering: object = None
    """The Deferred that the answer waits for."""
    caller: Caller | None = None
    """Who asks, where that is found out."""
    whole = False
    """Whether its body has come, while that is not known yet."""

    def gotLength(self, length: int | None) -> None:
        """Called with the head; None where the body comes in chunks."""
        self.content = BytesIO()
        self.caller = self.channel.admit(self)
        self.announced = length or 0
        self.check_size(self.announced)

    def handleContentChunk(self, data: bytes) -> None:
        """Called with each part of the body."""
        self.channel.progressed()
        self.check_size(self.content.tell() + len(data))
        super().handleContentChunk(data)

    def check_size(self, size: int) -> None:
        """Hold what the body is going to have against what it may."""
        most = self.channel.site.limits.max_body
        if size > most:
            raise Refused(PayloadTooLarge(f"a body of more than {most} bytes"))
        self.channel.keep(max(size, self.announced))

    def getRequestHostname(self) -> bytes:
        """No route depends on it, and Klein's router would stumble over names that IDNA refuses."""
        return b"localhost"

    def process(self) -> None:
        """Called with the whole request."""
        if self.channel.admissions.asking:
            self.whole = True
            return
        if self.uri[:1] not in (b"/", b"*"):
            self.uri = path_of(self.uri)
            self.path = self.uri.partition(b"?")[0]
        connections = self.channel.site.connections
        if connections.draining or connections.readiness.stopping:
            self.channel.persistent = False
            self.setHeader(b"connection", b"close")
        super().process()
