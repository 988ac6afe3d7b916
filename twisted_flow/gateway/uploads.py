"""Requests in parts: several messages of one connection with the same id, all but the last with status PENDING."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from ..document import DocumentArray
from ..document.weight import weight
from ..errors import BadRequest, FlowError, ValidationError
from ..feed import Feed
from ..limits import Limits
from ..maybe import MaybeDeferred
from ..message import Request
from ..parts import AHEAD, Parts, cost_of
from .buffered import Account, Buffered

__all__ = ["Uploads"]


class Uploads:
    """Those of one connection, until their last messages have come.

    They share its flow: what is not taken yet is kept, for each up to `AHEAD`; then nothing is to be read.

    :param buffered: counts what has come in, of all connections.
    :param changed: called when `full` may have become false.
    """

    def __init__(self, limits: Limits, buffered: Buffered, changed: Callable[[], object]) -> None:
        self.limits, self.changed = limits, changed
        self.account = Account(buffered)
        self.crowded: set[_Upload] = set()
        """Those of which as much is kept as may be."""
        self.open: dict[str, _Upload] = {}
        """By the request's id."""

    @property
    def full(self) -> bool:
        """Whether nothing is to be read, until something has been taken."""
        return bool(self.crowded) or self.account.bytes >= self.limits.max_in_flight_size

    def begin(self, request: Request) -> Request:
        """The first message came: *request*, with what will follow. Whoever answers it cancels these parts then."""
        if len(self.open) >= self.limits.max_streams:
            raise BadRequest(f"the last messages of {len(self.open)} requests have not come")
        upload = self.open[request.request_id] = _Upload(self)
        return replace(request, pending=False, parts=upload.parts)

    def take(self, request: Request, size: int) -> None:
        """Another message came, of *size* bytes. What it says beside its documents was said by the first."""
        upload = self.open[request.request_id]
        if not request.pending:
            del self.open[request.request_id]
        if request.groundtruths:
            upload.end(ValidationError.at("/data/groundtruths", "belong into the first message of a request"))
        elif request.docs:
            upload.put(request.docs, size)
        if not request.pending:
            upload.end()

    def fail(self, request_id: str, error: FlowError) -> None:
        """Another message came, and is wrong, because of *error*."""
        self.open[request_id].end(error)

    def forget(self, request_id: str) -> None:
        """No other message will come: it was cancelled."""
        self.open.pop(request_id, None)

    def end(self) -> None:
        """The client sends no more."""
        uploads, self.open = self.open, {}
        for upload in uploads.values():
            upload.end(BadRequest("the client has ended the connection before the last message of the request"))


class _Upload:
    """One of them."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._feed = Feed(self._more, lambda: None)
        self._sizes: deque[int] = deque()  # of the messages that are kept
        self._left = AHEAD
        self._ended = False
        self.parts = Parts(self._pull, self._cancel)
        self.parts.bound = uploads.limits

    def put(self, docs: DocumentArray, size: int) -> None:
        uploads = self._uploads
        if self._ended or self.parts.over:
            return
        if not uploads.account.total.has_room(size):
            self.end(uploads.account.total.refusal())
            return
        cost = cost_of(max(size, weight(docs)))
        self._left -= cost
        self._sizes.append(size)
        uploads.account.add(size)
        self._feed.put(docs, cost)
        if self._left <= 0:
            uploads.crowded.add(self)

    def end(self, error: FlowError | None = None) -> None:
        self._ended = True
        self._feed.end(error)

    def _pull(self) -> MaybeDeferred[DocumentArray | None]:
        part = self._feed.parts.pull()
        if part is None:
            return None
        if type(part) is DocumentArray:
            return self._pulled(part)
        return part.addCallback(self._pulled)  # type: ignore[union-attr]

    def _pulled(self, part: DocumentArray | None) -> DocumentArray | None:
        if part is not None and self._sizes:
            self._uploads.account.add(-self._sizes.popleft())
        return part

    def _more(self, taken: int) -> None:
        self._left += taken
        if self._left > 0:
            self._uploads.crowded.discard(self)
            self._uploads.changed()

    def _cancel(self) -> None:
        """Nobody takes what is kept, nor what still comes."""
        self._feed.parts.cancel()
        sizes, self._sizes = self._sizes, deque()
        self._uploads.account.add(-sum(sizes))
        self._uploads.crowded.discard(self)
        self._uploads.changed()
