"""An answer that comes in parts, each as bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast, final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from .document import Document, DocumentArray
from .document.outgoing import not_encoded
from .document.weight import weight
from .entry import Answer, Entry, refuse
from .errors import ExecutorError, FlowError
from .maybe import MaybeDeferred
from .message import Request, Response, ResponseStream, Route, bare_request
from .outcome import Outcome, as_stream
from .parts import Parts
from .telemetry.printable import forget_frames, printable

__all__ = ["AnswerStream", "failed"]

log = Logger()

_SMALL = 1 << 18  # bytes: larger parts leave alone


@final
class AnswerStream:
    """See the module. Whoever holds one pulls it until it is `over`, or cancels it.

    :param stream: what is written.
    :param started: when the request came in.
    """

    def __init__(self, stream: ResponseStream, entry: Entry, started: datetime) -> None:
        assert entry.parts is not None
        self._stream, self._entry, self._started = stream, entry, started
        self.form = entry.parts
        self.over = False
        """Whether its last piece has been pulled."""
        self.begun = False
        """Whether anything of it has been written: then what ends it is told in its form."""
        self._cancelled = False
        self._apart: list[Document] = []  # what could not be written together is written one by one
        self._coming: Deferred[Answer | AnswerStream] | None = None
        self._release = entry.hold(self.cancel)
        self._numbers = entry.gateway.record.numbers
        self._counted = False
        self._documents = self._size = 0  # that have been written

    @classmethod
    def to_come(cls, coming: Deferred[Answer | AnswerStream], entry: Entry) -> AnswerStream:
        """What is *coming*, where something is to be done while it is not there."""
        nothing = ResponseStream(bare_request(entry.request_id), Parts(lambda: None), [])
        stream = cls(nothing, entry, datetime.now(UTC))
        stream._coming = coming
        return stream

    @classmethod
    def of(cls, outcome: Outcome, entry: Entry, started: datetime) -> AnswerStream:
        """*outcome*, which may be whole, in parts."""
        made = cls(as_stream(outcome), entry, started)
        made._count()
        return made

    def _count(self) -> None:
        """It is in flight, until it is over."""
        self._counted = True
        self._numbers.in_flight += 1

    def _close(self) -> None:
        """It is over, or cancelled."""
        self._release()
        if self._counted:
            self._counted = False
            self._numbers.in_flight -= 1

    @property
    def request_id(self) -> str:
        """The request's."""
        return self._stream.request.request_id

    def pull(self) -> MaybeDeferred[Answer]:
        """The next piece: a part, and those behind it that are made already; the end; or, with its `Answer.error` set,
        what ended it.

        :return: never fails.
        """
        if self._cancelled:
            return self._failed(Failure(CancelledError()))
        if self._coming is not None:
            return self._coming.addCallback(self._came)
        if self._apart:
            return self._written(DocumentArray([self._apart.pop(0)]))
        try:
            part = self._stream.parts.pull()
        except BaseException:  # see `respond`
            return self._failed(Failure())
        if part is None or type(part) is DocumentArray:
            return self._pulled(part)
        later = cast("Deferred[DocumentArray | None]", part)
        return later.addCallbacks(self._pulled, self._failed)

    def cancel(self) -> None:
        """End the work. What is pulled then, or awaited, tells why: see `Entry.ended`."""
        self._cancelled = True
        self._close()
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()
        self._stream.parts.cancel()

    def _came(self, answered: Answer | AnswerStream) -> MaybeDeferred[Answer]:
        self._coming = None
        if isinstance(answered, Answer):
            return self._last(answered)
        self._stream, self._entry, self._started = answered._stream, answered._entry, answered._started
        answered._close()
        self._count()
        if self._cancelled:
            self._stream.parts.cancel()
        return self.pull()

    def _pulled(self, part: DocumentArray | None) -> Answer:
        if part is None:
            return self._written(None)
        docs = DocumentArray(part)  # what its maker has made may be its own
        if weight(docs) < _SMALL:
            self._stream.parts.rest(docs)
        return self._written(docs)

    def _written(self, docs: DocumentArray | None) -> Answer:
        """A piece with *docs*; None: the end."""
        request, form = self._stream.request, self.form
        try:
            body = self._end() if docs is None else form.part(request, docs, self._entry.gateway.limits)
        except Exception as raised:  # whatever an executor put into its documents
            if docs is not None and len(docs) > 1:
                first, *self._apart = docs
                return self._written(DocumentArray([first]))
            if isinstance(raised, FlowError):
                return self._refused(raised)
            nothing = DocumentArray()
            return self._refused(not_encoded("the answer", raised, docs or nothing, nothing, request.parameters))
        if docs is not None:
            if not self._documents:
                self._numbers.first_part((datetime.now(UTC) - self._started).total_seconds())
            self._documents += len(docs)
            self._size += len(body)
        self.begun = True
        return Answer(body, form.content_type, None, request.request_id)

    def _end(self) -> bytes:
        self.over = True
        self._close()
        stream, gateway = self._stream, self._entry.gateway
        routes = [Route("gateway", gateway.id, self._started, datetime.now(UTC)), *stream.routes]
        nothing = DocumentArray()
        response = Response(stream.request, nothing, nothing, routes, stream.status)
        body = self.form.end(response, gateway.limits)
        gateway.record.answered(response, self._size + len(body), self._entry.caller, self._documents)
        return body

    def _refused(self, error: FlowError) -> Answer:
        self._apart = []
        self._stream.parts.cancel()
        return self._last(refuse(error, self._entry, self._stream.request, started=self._started))

    def _failed(self, failure: Failure) -> Answer:
        return self._last(failed(failure, self._stream.request, self._entry, self._started))

    def _last(self, told: Answer) -> Answer:
        self.over = True
        self._close()
        if not self.begun:
            return told
        return Answer(self.form.failure(told), self.form.content_type, told.error, told.request_id)


def failed(failure: Failure, request: Request, entry: Entry, started: datetime | None = None) -> Answer:
    """The answer that *failure* of *request* is; a bug of ours is in the log."""
    error = failure.value
    if isinstance(error, CancelledError):
        error = entry.ended()
    elif not isinstance(error, FlowError):
        log.failure("request {id}: an unexpected exception", failure, id=printable(request.request_id))
        forget_frames(error)
        error = ExecutorError("internal error")
    return refuse(error, entry, request, started=started)
