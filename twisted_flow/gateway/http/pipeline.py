"""The answers that are due on one connection: they leave in the order of their requests, whichever is ready first."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...answer import Answer, Answered, AnswerStream
from ..buffered import Account
from ..request_id import as_field
from .action import PlainHead
from .answer_bytes import REQUEST_ID, answer_bytes, chunk, stream_head
from .event_streams import STREAM_FIELDS
from .streamed import Streamed

__all__ = ["Pipeline", "written"]


class Outlet(Protocol):
    """Where the answers of a `Pipeline` leave."""

    full: bool
    """Whether the client does not read: call `Pipeline.resume` when it does again."""

    def write(self, data: bytes) -> None:
        """Send *data*."""

    def moved(self) -> None:
        """Answers have left: there is room for more requests."""

    def ends(self) -> bool:
        """Whether the connection ends with the answer that leaves next, if that is the only one due."""


class _Due:
    """An answer that is due."""

    __slots__ = ("plain", "ready", "size", "streamed", "waiting")

    def __init__(self, plain: PlainHead, size: int) -> None:
        self.plain = plain
        self.size = size  # bytes of what was asked, and later of the answer
        self.waiting: Deferred[Answered] | None = None
        self.ready: bytes | None = None
        self.streamed: Streamed | None = None


class Pipeline:
    """See the module.

    :param outlet: where they leave.
    :param account: counts what waits.
    :param clock: hands out time.
    """

    def __init__(self, outlet: Outlet, account: Account, clock: IReactorTime) -> None:
        self._outlet, self._account, self._clock = outlet, account, clock
        self._due: deque[_Due] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._due)

    def add(self, plain: PlainHead, answering: Deferred[Answered] | Answered, size: int) -> None:
        """Another answer is due.

        :param plain: of the request's head.
        :param size: bytes of its body.
        """
        due = _Due(plain, size)
        self._due.append(due)
        self._account.add(size)
        if isinstance(answering, Deferred):
            due.waiting = answering
            answering.addCallback(self._came, due)
        else:
            self._came(answering, due)

    def _came(self, answered: Answered, due: _Due) -> None:
        due.waiting = None
        if self._closed:
            if type(answered) is AnswerStream:
                answered.cancel()
            return
        if isinstance(answered, AnswerStream):
            due.streamed = self._streamed(answered, due)
        else:
            self._is_ready(answered, due)
        self._go_on()

    def _is_ready(self, answer: Answer, due: _Due) -> None:
        due.ready = ready = written(answer, due.plain, len(self._due) == 1 and self._outlet.ends())
        self._account.add(len(ready) - due.size)
        due.size = len(ready)

    def _streamed(self, stream: AnswerStream, due: _Due) -> Streamed:
        outlet = self._outlet

        def head() -> None:
            told = [(REQUEST_ID, as_field(stream.request_id).encode())] if due.plain.request_id else []
            more = [*STREAM_FIELDS, *told]
            outlet.write(stream_head(due.plain.action.status, stream.form.content_type, more))

        def whole(answer: Answer) -> None:
            due.streamed = None
            self._is_ready(answer, due)

        def done() -> None:
            if self._closed:
                return
            if due.streamed is not None:
                outlet.write(chunk(b""))
                due.ready, due.streamed = b"", None
            self._go_on()

        def full() -> bool:
            return outlet.full

        return Streamed(stream, head, lambda data: outlet.write(chunk(data)), whole, done, full, self._clock)

    def _go_on(self) -> None:
        """Let leave what is next."""
        while self._due:
            due = self._due[0]
            if due.streamed is not None:
                due.streamed.go_on()
                return
            if due.ready is None:
                break
            self._account.add(-self._due.popleft().size)
            if due.ready:
                self._outlet.write(due.ready)
        self._outlet.moved()

    def resume(self) -> None:
        """The client reads again."""
        if self._due and (streamed := self._due[0].streamed) is not None:
            streamed.go_on()

    def cancel(self) -> None:
        """Cancel what is not ready."""
        for due in list(self._due):
            if due.waiting is not None:
                due.waiting.cancel()
            elif due.streamed is not None:
                due.streamed.cancel()

    def close(self) -> None:
        """Nothing leaves any more."""
        self._closed = True


def written(answer: Answer, plain: PlainHead, last: bool) -> bytes:
    """*answer* to a request whose head says *plain*, head and body in one.

    :param last: whether the connection ends with it.
    """
    status = plain.action.status if answer.error is None else answer.error.http_status
    if not plain.request_id:
        return answer_bytes(status, answer, last)
    told = (REQUEST_ID, as_field(answer.request_id).encode())
    return answer_bytes(status, answer, last, more=[told])
