"""A request of twisted.web's, whose body is bounded while it comes in."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.web.server import Request

from ...errors import PayloadTooLarge
from .head import Refused

__all__ = ["FlowRequest"]


class FlowRequest(Request):
    """A request whose body is bounded while it comes in, and never lies in a file."""

    channel: Any
    content: Any
    announced = 0
    answering: object = None
    """The Deferred that the answer waits for."""

    def gotLength(self, length: int | None) -> None:
        """Called with the head; None where the body comes in chunks."""
        self.content = BytesIO()
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
        if self.uri[:1] not in (b"/", b"*"):  # RFC 9112 section 3.2.2: a target in absolute form is as good
            self.uri = b"/" + self.uri.partition(b"://")[2].partition(b"/")[2]
            self.path = self.uri.partition(b"?")[0]
        if self.channel.site.connections.draining:
            self.channel.persistent = False
            self.setHeader(b"connection", b"close")
        super().process()
