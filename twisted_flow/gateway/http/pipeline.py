"""The answers that are due on one connection: they leave in the order of their requests, whichever is ready first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred

from ...answer import Answer
from ..buffered import Account
from ..request_id import as_field
from .action import PlainHead
from .answer_bytes import REQUEST_ID, answer_bytes

__all__ = ["Due", "Pipeline", "written"]


class Due:
    """An answer that is due."""

    __slots__ = ("deferred", "plain", "ready", "size")

    def __init__(self, plain: PlainHead, deferred: Deferred[Answer], size: int) -> None:
        self.plain, self.deferred = plain, deferred
        self.size = size  # bytes of what was asked, and later of the answer
        self.ready: bytes | None = None


class Pipeline:
    """See the module.

    :param account: counts what waits.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._due: deque[Due] = deque()

    def __len__(self) -> int:
        return len(self._due)

    def add(
        self, plain: PlainHead, answering: Deferred[Answer], size: int, answered: Callable[[Answer, Due], None]
    ) -> None:
        """Another answer is due.

        :param plain: of the request's head.
        :param size: bytes of its body.
        :param answered: called with the answer when it is there.
        """
        due = Due(plain, answering, size)
        self._due.append(due)
        self._account.add(size)
        answering.addCallback(answered, due)

    def ready(self, due: Due, answer: Answer, last: bool) -> Iterable[bytes]:
        """*due* is ready: what leaves now.

        :param last: whether the connection ends with it.
        """
        ready = written(answer, due.plain, last)
        if len(self._due) == 1:  # as most: nothing waits for it
            self._due.clear()
            self._account.add(-due.size)
            return (ready,)
        due.ready = ready
        self._account.add(len(ready) - due.size)
        due.size = len(ready)
        leaving = []
        while self._due and (first := self._due[0].ready) is not None:
            self._account.add(-self._due.popleft().size)
            leaving.append(first)
        return leaving

    def cancel(self) -> None:
        """Cancel what is not ready."""
        for due in list(self._due):
            due.deferred.cancel()


def written(answer: Answer, plain: PlainHead, last: bool) -> bytes:
    """*answer* to a request whose head says *plain*, head and body in one.

    :param last: whether the connection ends with it.
    """
    status = plain.action.status if answer.error is None else answer.error.http_status
    if not plain.request_id:
        return answer_bytes(status, answer, last)
    told = (REQUEST_ID, as_field(answer.request_id).encode())
    return answer_bytes(status, answer, last, more=[told])
