"""The requests of a WebSocket connection or a gRPC stream: many in flight, answered as they are ready."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..answer import Answer, Entry, read, refuse
from ..codec.codecs import codec_of
from ..errors import FlowError, Unavailable
from ..interfaces import ICodec, IDispatcher
from ..limits import Limits
from ..message import Request
from .buffered import Account, Buffered
from .failure import error_writer
from .held import Come, Held
from .in_order import InOrder
from .messages import parts_as_messages
from .under_way import UnderWay
from .uploads import Uploads

__all__ = ["Session"]

_UNKNOWN = 16  # requests in flight until the first is answered: nothing says how large their answers are
_HELD, _MOST_HELD = 1 << 20, 128  # bytes, and number, of requests that have come and wait for room


class Session:
    """The requests of one connection, or stream.

    :param dispatcher: what answers.
    :param entry: the gateway, and what the connection's head says.
    :param encoding: the subprotocol that says what all messages are; None: text is JSON, and what is binary protobuf.
    :param send: sends a message: its bytes, and whether it is binary.
    :param changed: called whenever nothing is in flight any more, and whenever there may be room to read again.
    :param limits: how many requests may be in flight.
    :param buffered: counts what has come in, of all connections.
    :param later: has a function called in another turn of the loop.
    """

    def __init__(
        self,
        dispatcher: IDispatcher,
        entry: Entry,
        encoding: str | None,
        send: Callable[[bytes, bool], None],
        changed: Callable[[], None],
        limits: Limits,
        buffered: Buffered,
        later: Callable[[Callable[[], object]], object],
    ) -> None:
        self.send, self.changed = send, changed
        self.unread = 0
        """Answers that the client does not read: they count as requests in flight do."""
        self.full = False
        """Whether the client does not read: no part is sent until `resume`."""
        self.room = min(limits.max_in_flight, _UNKNOWN)
        """How many requests may be in flight, as large as messages are of late."""
        self.draining = False
        self._limits = limits
        self._small = limits.max_in_flight_size // limits.max_in_flight
        self._large = 1  # bytes of the largest message of late, if that is not small; 1: no answer was seen yet
        self._account = Account(buffered)
        self.under_way = UnderWay(dispatcher, self._account, self.answered, lambda: self.full, self._moved, later)
        self._held = Held(self._account)
        self._order = InOrder()  # of what belongs to requests that have come before
        self.uploads = Uploads(limits, buffered, lambda: later(self._moved))
        only = None if encoding is None else codec_of(subprotocol=encoding)
        self._read_as: dict[bool, tuple[ICodec, Entry, bool]] = {}  # by whether a message is binary
        for binary in (False, True):
            row = only or codec_of(binary=binary)
            error = error_writer(row.codec, entry.gateway.id)
            here = replace(entry, write_error=error, parts=parts_as_messages(row.codec))
            self._read_as[binary] = row.codec, here, row.binary

    @property
    def crowded(self) -> bool:
        """Whether another request has to wait."""
        return self.under_way.in_flight + self.unread >= self.room

    @property
    def ahead(self) -> int:
        """How large a message may be that is read now; 0: none is to be read.

        Where there is no room for another request, some more are read all the same: among them may be what belongs to
        those that are under way.
        """
        most = self._limits.max_in_flight
        if self.uploads.full:
            return 0
        if not self.crowded:
            return self._limits.max_body
        if len(self._held) >= _MOST_HELD or self.unread >= 2 * most or self._large > _HELD:
            return 0
        return max(0, _HELD - self._held.size)

    def received(self, payload: bytes, binary: bool, since: datetime | None = None) -> None:
        """A message came: now, or *since* then it waits for those that came with it."""
        size = len(payload)
        if size > self._small:
            self._weigh(size)
        codec, entry, binary = self._read_as[binary]
        since = since or datetime.now(UTC)
        try:
            request = read(payload, codec, entry)
        except FlowError as error:
            self._wrong(error, entry, binary)
            return
        if type(request) is not Request:
            self._read_later(request, codec, entry, binary, since, size)
        elif (
            not request.pending
            and not self.uploads.open
            and self.under_way.in_flight + self.unread < self.room
            and request.header.exec_endpoint
            and not self.draining
            and self._account.total.has_room()
        ):  # it has to do with no other, and may begin
            self.under_way.begin(request, codec, entry, binary, since, size)
        else:
            self._sort(Come(request, codec, entry, binary, since, size))

    def _read_later(
        self, reading: Deferred[Request], codec: ICodec, entry: Entry, binary: bool, since: datetime, size: int
    ) -> None:
        """Take a message that is so large that it is not read yet."""
        slot = self._order.later()
        self.under_way.add(reading, "", size)

        def read(request: Request) -> None:
            self.under_way.drop(reading, size)
            come = Come(request, codec, entry, binary, since, size)
            if self._belongs(request):
                self._order.ready(slot, partial(self._take, come))
            else:  # it may pass those that are read still
                self._order.ready(slot)
                self._take(come)
            self._moved()

        def not_read(failure: Failure) -> None:
            self.under_way.drop(reading, size)
            self._order.ready(slot, partial(self._wrong, cast(FlowError, failure.value), entry, binary))
            self._moved()

        reading.addCallbacks(read, not_read)

    def _belongs(self, request: Request) -> bool:
        """Whether *request* may belong to one that has come before."""
        return request.pending or not request.header.exec_endpoint or request.request_id in self.uploads.open

    def _wrong(self, error: FlowError, entry: Entry, binary: bool) -> None:
        """A message came that is no request; it may be a part of one."""
        if error.request_id in self.uploads.open:
            self.uploads.fail(error.request_id, error)
        else:
            self.answered(refuse(error, entry), binary)

    def _sort(self, come: Come) -> None:
        """Take a message; in order, where it may belong to a request that has come before."""
        if self._order and self._belongs(come.request):
            self._order.add(partial(self._take, come))
        else:
            self._take(come)

    def _take(self, come: Come) -> None:
        request = come.request
        if request.cancels:
            self.uploads.forget(request.request_id)
            self.cancel(request.request_id)
        elif request.request_id in self.uploads.open:
            self.uploads.take(request, come.size)
        elif self._refused(come):
            pass
        elif not self.crowded:
            self.under_way.start(come)
        else:
            self._held.add(come)

    def _refused(self, come: Come) -> bool:
        """Whether a new request cannot be taken; then that is told. One that comes in parts is prepared for them."""
        request, error = come.request, self._refusal()
        if error is None and request.pending and request.header.exec_endpoint:
            try:
                come.request = self.uploads.begin(request)
            except FlowError as raised:
                error = raised
        if error is not None:
            self.answered(refuse(error, come.entry, request), come.binary)
        return error is not None

    def _refusal(self) -> FlowError | None:
        """Why no request may begin."""
        if self.draining:
            return Unavailable("the server is stopping")
        total = self._account.total
        return None if total.has_room() else total.refusal()

    def resume(self) -> None:
        """The client reads again."""
        self.full = False
        self.under_way.resume()
        self.go_on()

    @property
    def busy(self) -> bool:
        """Whether anything is not answered to its end."""
        return bool(self.under_way or self._held)

    def go_on(self) -> None:
        """There may be room for those that wait."""
        while self._held and not self.crowded:
            self.under_way.start(self._held.next())

    def _moved(self) -> None:
        """Something has been answered, or taken."""
        if self._held:
            self.go_on()
        self.changed()

    def answered(self, done: Answer, binary: bool) -> None:
        """Send an answer."""
        if len(done.body) > self._small or self._large:
            self._weigh(len(done.body))
        self.send(done.body, binary)

    def _weigh(self, size: int) -> None:
        """Note the size of a message, in or out: the larger messages are of late, the fewer may be in flight.

        What is large is forgotten slowly: large answers belong to small requests, or the other way round.
        """
        self._large = large = max(size, self._large - (self._large >> 3))
        if large <= self._small:
            self._large = 0
        most = self._limits.max_in_flight
        self.room = max(1, min(most, self._limits.max_in_flight_size // large)) if self._large else most

    def end_of_input(self) -> None:
        """The client sends no more."""
        self._order.add(self.uploads.end)

    def cancel(self, request_id: str) -> None:
        """Cancel whatever is under way under *request_id*."""
        self._cancel(lambda its: its == request_id)

    def cut(self) -> None:
        """Answer at once whatever is under way: see `Gateway.ended`."""
        self._cancel(lambda its: True)

    def _cancel(self, which: Callable[[str], bool]) -> None:
        for come in self._held.take(lambda come: which(come.request.request_id)):
            if come.request.parts is not None:
                come.request.parts.cancel()
            self.answered(refuse(come.entry.gateway.ended(), come.entry, come.request), come.binary)
        self.under_way.cancel(which)

    def lost(self) -> None:
        """The client is gone: nothing runs for it."""
        self.send = lambda payload, binary: None
        self.changed = lambda: None
        self.cut()
