"""Requests in parts: several messages of one connection with the same id, all but the last with status PENDING."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from ...document import DocumentArray
from ...document.weight import weight
from ...errors import BadRequest, FlowError, QueueFull, ValidationError
from ...feed import Feed
from ...limits import Limits
from ...maybe import MaybeDeferred
from ...message import Request
from ...parts import AHEAD, Parts, cost_of
from ..buffered import Account

__all__ = ["Uploads"]


class Uploads:
    """Those of one connection, until their last messages have come, and they are answered.

    They share its flow: what is not taken yet is kept, for each up to `AHEAD`; then nothing is to be read.

    :param account: counts the bytes of their messages, until they have been taken; of what is collected, until the
        request is answered.
    :param changed: called when `full` may have become false.
    """

    def __init__(self, limits: Limits, account: Account, changed: Callable[[], object]) -> None:
        self.limits, self.account, self.changed = limits, account, changed
        self.open: dict[str, Upload] = {}
        """By the request's id: those whose last messages have not come, though they may be answered."""
        self.asked: set[Upload] = set()
        """Those that are not answered, though their last messages may have come."""
        self.crowded: set[Upload] = set()
        """Those of which as much is kept as may be."""
        self.kept = self.bytes = 0
        """Bytes that nobody has taken; and with those that were."""

    @property
    def full(self) -> bool:
        """Whether nothing is to be read, until something has been taken."""
        return bool(self.crowded) or self.kept >= self.limits.max_in_flight_size

    def begin(self, request: Request, size: int) -> tuple[Request, Callable[[], object]]:
        """The first message came, of *size* bytes: *request*, with what will follow, and what to call when it has been
        answered.

        :raises FlowError: if there are too many.
        """
        if self.bytes >= self.limits.max_in_flight_size:
            self.refuse(request.request_id)
            raise QueueFull(f"{self.bytes} bytes of this connection's requests are not answered yet", retry_after=1)
        upload = Upload(self, size)
        self.refuse(request.request_id, upload)
        self.asked.add(upload)
        return replace(request, pending=False, parts=upload.parts), upload.close

    def refuse(self, request_id: str, upload: Upload | None = None) -> None:
        """A first message came, and was refused: what follows is dropped, up to the last.

        :param upload: what takes it, if it was not refused.
        :raises BadRequest: if too many are open.
        """
        if len(self.open) >= self.limits.max_streams:
            raise BadRequest(f"the last messages of {len(self.open)} requests have not come")
        if upload is None:
            upload = Upload(self, 0)
            upload.close()
        self.open[request_id] = upload

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


class Upload:
    """One of them.

    :param size: bytes of its first message.
    """

    def __init__(self, uploads: Uploads, size: int) -> None:
        self._uploads = uploads
        self._feed = Feed(lambda taken: None, lambda: None)
        self._kept: deque[tuple[int, int]] = deque()  # costs and bytes of the messages that nobody has taken
        self._left = AHEAD
        self._handed_out = self._counted = 0  # bytes of the last that was taken, and of all that are counted
        self._ended = self._closed = False
        self.parts = Parts(self._pull, self.close)
        self.parts.bound, self.parts.collecting = uploads.limits, self._collected
        self._count(size)

    def put(self, docs: DocumentArray, size: int) -> None:
        """Documents have come in a message of *size* bytes."""
        uploads = self._uploads
        if self._ended or self._closed:
            return
        if not uploads.account.total.has_room(size):
            self.end(uploads.account.total.refusal())
            return
        cost = cost_of(max(size, weight(docs)))
        self._left -= cost
        self._kept.append((cost, size))
        self._count(size, kept=size)
        if self._left <= 0:
            uploads.crowded.add(self)
        self._feed.put(docs, cost)

    def end(self, error: FlowError | None = None) -> None:
        """No more documents will come; because of *error*, if there is one."""
        self._ended = True
        self._feed.end(error)

    def close(self) -> None:
        """Nobody takes what is kept, nor what still comes."""
        if not self._closed:
            self._closed = True
            self._feed.parts.cancel()
            self._count(-self._counted, kept=-sum(size for _, size in self._kept))
            self._kept.clear()
            self._uploads.asked.discard(self)
            self._roomier()

    def _pull(self) -> MaybeDeferred[DocumentArray | None]:
        self._count(-self._handed_out)  # whoever wants more has made use of it
        self._handed_out = 0
        part = self._feed.parts.pull()
        if part is None or type(part) is DocumentArray:
            return self._pulled(part)
        return part.addCallback(self._pulled)  # type: ignore[union-attr]

    def _pulled(self, part: DocumentArray | None) -> DocumentArray | None:
        if part is not None and self._kept:
            cost, size = self._kept.popleft()
            self._left += cost
            self._handed_out = size
            self._count(0, kept=-size)
            if self._left > 0:
                self._roomier()
        return part

    def _collected(self, size: int) -> None:
        """So much of it is kept where it was taken, until it is answered.

        :raises QueueFull: if there is no room for it.
        """
        total = self._uploads.account.total
        if not total.has_room(size):
            raise total.refusal()
        self._count(size)

    def _count(self, size: int, kept: int = 0) -> None:
        if not self._closed or size < 0:
            self._counted += size
            self._uploads.bytes += size
            self._uploads.kept += kept
            self._uploads.account.add(size)

    def _roomier(self) -> None:
        self._uploads.crowded.discard(self)
        self._uploads.changed()
