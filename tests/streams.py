"""Dispatchers that answer in parts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from twisted_flow.document import Document, DocumentArray
from twisted_flow.interfaces import IDispatcher
from twisted_flow.message import Request, Response, ResponseStream, Route
from twisted_flow.parts import Parts

T = datetime(2026, 1, 1, tzinfo=UTC)


@implementer(IDispatcher)
class Streaming:
    """Answers each request by a stream of what it is told to: texts, Deferreds of such, or errors to raise.

    :param parts: what is pulled, one after another.
    :param later: whether the stream itself comes by a Deferred.
    """

    def __init__(self, *parts: Any, later: bool = False) -> None:
        self.given, self.later = parts, later
        self.requests: list[Request] = []
        self.streams: list[ResponseStream] = []
        self.cancelled = 0
        self.pulled = 0
        self.coming: list[Deferred[Any]] = []

    def dispatch(self, request: Request) -> Any:
        self.requests.append(request)
        left = list(self.given)

        def pull() -> Any:
            self.pulled += 1
            part = left.pop(0) if left else None
            if isinstance(part, Exception):
                raise part
            if part == "later":
                awaited: Deferred[Any] = Deferred(lambda _: self.cancel())
                self.coming.append(awaited)
                return awaited
            return None if part is None else DocumentArray([Document(part)])

        stream = ResponseStream(request, Parts(pull, self.cancel), [Route("inner", "i", *[T] * 2)])
        self.streams.append(stream)
        if not self.later:
            return stream
        waiting: Deferred[Any] = Deferred(lambda _: self.cancel())
        self.coming.append(waiting)
        return waiting

    def cancel(self) -> None:
        self.cancelled += 1

    def come(self, text: str | None = None) -> None:
        """What is awaited comes: the stream, or a part."""
        awaited = self.coming.pop(0)
        if self.later and len(self.streams) == 1 and not self.pulled:
            awaited.callback(self.streams[0])
        else:
            awaited.callback(None if text is None else DocumentArray([Document(text)]))


def texts(docs: Any) -> list[str | None]:
    return [each.text for each in docs]


@implementer(IDispatcher)
class Taking:
    """Takes the documents of requests when it is told to, and answers when it is told to."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Deferred[Any]] = []
        self.taken: list[list[str | None]] = []
        self.errors: list[Any] = []
        self.cancelled = 0

    def dispatch(self, request: Request) -> Deferred[Any]:
        self.requests.append(request)
        self.taken.append(texts(request.docs))
        self.errors.append(None)
        self.answers.append(Deferred(self._cancel))
        return self.answers[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def listen(self, position: int = 0) -> None:
        """Take what is there, and what comes."""
        parts, taken = self.requests[position].parts, self.taken[position]

        def took(part: Any) -> None:
            if part is not None:
                taken.extend(texts(part))
                go_on()

        def failed(failure: Any) -> None:
            self.errors[position] = failure.value

        def go_on() -> None:
            assert parts is not None
            maybeDeferred(parts.pull).addCallbacks(took, failed)

        go_on()

    def answer(self, position: int = 0) -> None:
        """Answer the request at *position* with what was taken of it."""
        request = self.requests[position]
        docs = DocumentArray(Document(text) for text in self.taken[position])
        self.answers[position].callback(Response(request, docs, DocumentArray(), []))
