"""Writing an answer through twisted.web: whole, or part after part."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ...answer import Answer, Answered, AnswerStream
from ...maybe import MaybeDeferred
from ..request_id import as_field, request_id_in
from .answer_bytes import NO_BODY, REQUEST_ID, fields, phrase
from .event_streams import STREAM_FIELDS
from .request import FlowRequest
from .streamed import Streamed

__all__ = ["write", "write_any"]


def write(request: FlowRequest, done: Answer, status: int = 200) -> bytes:
    """The body of *done*, whose head is set on *request*."""
    status = status if done.error is None else done.error.http_status
    request.setResponseCode(status, phrase(status))
    if status in NO_BODY:
        done = Answer(b"", "", done.error)
    for name, value in fields(done):
        request.setHeader(name, value)
    _identify(request, done.request_id)
    if status != 204:
        request.setHeader(b"Content-Length", b"%d" % len(done.body))
    return done.body


def write_any(request: FlowRequest, done: Answered, status: int = 200) -> MaybeDeferred[bytes]:
    """The same; where *done* comes in parts, they are written as they come, and at their end the rest is b''."""
    return write(request, done, status) if isinstance(done, Answer) else _Producer(request, done, status).done


def _identify(request: FlowRequest, request_id: str) -> None:
    if request_id and request_id_in(request.getHeader(b"x-request-id")):
        request.setHeader(REQUEST_ID, as_field(request_id).encode())


@implementer(IPushProducer)
class _Producer:
    """Writes parts while the client reads."""

    def __init__(self, request: FlowRequest, stream: AnswerStream, status: int) -> None:
        self.request, self.stream, self.status = request, stream, status
        self.done: Deferred[bytes] = Deferred()
        self.last = b""
        self.full = False
        clock = request.channel.site.connections.clock
        self.streamed = Streamed(stream, self._head, self._write, self._whole, self._end, lambda: self.full, clock)
        request.answering = self.streamed
        request.notifyFinish().addErrback(lambda _: self.stopProducing())
        request.registerProducer(self, True)
        self.streamed.go_on()

    def _head(self) -> None:
        if self.done.called:
            return
        self.request.setResponseCode(self.status, phrase(self.status))
        for name, value in ((b"Content-Type", self.stream.form.content_type.encode()), *STREAM_FIELDS):
            self.request.setHeader(name, value)
        _identify(self.request, self.stream.request_id)
        self.request.write(b"")

    def _write(self, data: bytes) -> None:
        if not self.done.called:
            self.request.write(data)

    def _whole(self, answer: Answer) -> None:
        self.last = write(self.request, answer, self.status)

    def _end(self) -> None:
        if not self.done.called:
            self.request.unregisterProducer()
            self.done.callback(self.last)

    def pauseProducing(self) -> None:
        """The client does not read."""
        self.full = True

    def resumeProducing(self) -> None:
        """It reads again."""
        self.full = False
        self.streamed.go_on()

    def stopProducing(self) -> None:
        """It has gone."""
        if not self.done.called:
            self.done.callback(b"")
            self.streamed.cancel()
