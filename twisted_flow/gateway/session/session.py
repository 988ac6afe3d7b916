"""The requests of a WebSocket connection or a gRPC stream: many in flight, answered as they are ready."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ...answer import Answer, Entry, read, refuse
from ...codec.codecs import codec_of
from ...errors import BadRequest, FlowError, Unavailable
from ...interfaces import ICodec, IDispatcher
from ...limits import Limits
from ...message import Request
from ..buffered import Account, Buffered
from ..failure import error_writer
from ..messages import parts_as_messages
from .held import Come, Held
from .in_order import InOrder
from .room import Room
from .under_way import UnderWay
from .uploads import Uploads

__all__ = ["Session"]

_HELD, _MOST_HELD = 1 << 20, 256  # bytes, and number, of requests that have come and wait for room


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
    :param flush: has what was sent leave now; None: it does.
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
        flush: Callable[[], object] | None = None,
    ) -> None:
        self.send, self.changed = send, changed
        self.unread = 0
        """Answers that the client does not read: they count as requests in flight do."""
        self.full = False
        """Whether the client does not read: no part is sent until `resume`."""
        self.room = Room(limits)
        self.draining = False
        self._limits = limits
        self._account = Account(buffered)
        self.under_way = UnderWay(
            dispatcher, self._account, self.answered, lambda: self.full, self._moved, later, flush
        )
        self._held = Held(self._account)
        self._order = InOrder()  # of what belongs to requests that have come before
        self._in_order = 0  # bytes of what waits for its turn there
        self._unread_parts = 0  # large messages that are being read, and may be parts of requests
        self.uploads = Uploads(limits, self._account, lambda: later(self._moved))
        self.calm = True
        """Whether no message can have to do with another one."""
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
        return self.under_way.in_flight + self.unread >= self.room.most

    @property
    def ahead(self) -> int:
        """How large a message may be that is read now; 0: none is to be read.

        Where there is no room for another request, some more are read all the same: among them may be what belongs to
        those that are under way.
        """
        most = self._limits.max_in_flight
        if self.uploads.full or self._in_order >= _HELD:
            return 0
        if not self.crowded:
            return self._limits.max_body
        if len(self._held) >= _MOST_HELD or self.unread >= 2 * most or self.room.large > _HELD:
            return 0
        return max(0, _HELD - self._held.size)

    def received(self, payload: bytes, binary: bool, since: datetime | None = None) -> None:
        """A message came: now, or *since* then it waits for those that came with it."""
        size = len(payload)
        if size > self.room.small:
            self.room.weigh(size)
        codec, entry, binary = self._read_as[binary]
        since = since or datetime.now(UTC)
        try:
            request = read(payload, codec, entry)
        except FlowError as error:
            self._wrong(error, entry, binary, codec.may_be_part(payload))
            return
        if type(request) is not Request:
            self._read_later(request, codec, entry, binary, since, payload)
        elif (
            self.calm
            and not request.pending
            and self.under_way.in_flight + self.unread < self.room.most
            and request.header.exec_endpoint
            and not self.draining
            and self._account.total.has_room()
        ):  # it has to do with no other, and may begin
            self.under_way.begin(request, codec, entry, binary, since, size)
        else:
            self._sort(Come(request, codec, entry, binary, since, size))

    def _read_later(
        self, reading: Deferred[Request], codec: ICodec, entry: Entry, binary: bool, since: datetime, payload: bytes
    ) -> None:
        """Take a message that is so large that it is not read yet."""
        slot, size, part = self._order.later(), len(payload), codec.may_be_part(payload)
        self.under_way.add(reading, "", size)
        self._unread_parts += part

        def read(request: Request) -> None:
            self.under_way.drop(reading, size)
            self._unread_parts -= part
            come = Come(request, codec, entry, binary, since, size)
            if self._belongs(request):
                self._order.ready(slot, partial(self._take, come))
            else:  # it may pass those that are read still
                self._order.ready(slot)
                self._take(come)
            self._moved()

        def not_read(failure: Failure) -> None:
            self.under_way.drop(reading, size)
            self._unread_parts -= part
            self._order.ready(slot, partial(self._wrong, cast(FlowError, failure.value), entry, binary, part))
            self._moved()

        reading.addCallbacks(read, not_read)
        self._note()

    def _note(self) -> None:
        """See `calm`."""
        self.calm = not (self.uploads.open or self.uploads.asked or self._order)

    def _belongs(self, request: Request) -> bool:
        """Whether *request* may belong to one that has come before."""
        return (
            request.pending
            or not request.header.exec_endpoint
            or request.request_id in self.uploads.open
            or self._unread_parts > 0
        )

    def _wrong(self, error: FlowError, entry: Entry, binary: bool, part: bool) -> None:
        """A message came that is no request.

        :param part: whether others may belong to it.
        """
        if error.request_id in self.uploads.open:
            self.uploads.fail(error.request_id, error)
            if not part:  # it was the last
                self.uploads.forget(error.request_id)
                self._note()
            return
        if part and error.request_id:
            with suppress(BadRequest):
                self.uploads.refuse(error.request_id)
        self.answered(refuse(error, entry), binary)
        self._note()

    def _sort(self, come: Come) -> None:
        """Take a message; in order, where it may belong to a request that has come before."""
        if self._order and self._belongs(come.request):
            self._in_order += come.size
            self._account.add(come.size)
            self._order.add(partial(self._take_in_turn, come))
        else:
            self._take(come)

    def _take_in_turn(self, come: Come) -> None:
        self._in_order -= come.size
        self._account.add(-come.size)
        self._take(come)

    def _take(self, come: Come) -> None:
        request = come.request
        if self.under_way.lost:
            pass
        elif request.cancels:
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
        self._note()

    def _refused(self, come: Come) -> bool:
        """Whether a new request cannot be taken; then that is told. One that comes in parts is prepared for them."""
        request, error = come.request, self._refusal()
        if request.pending and request.header.exec_endpoint:
            try:
                if error is None:
                    come.request, come.done = self.uploads.begin(request, come.size)
                else:
                    self.uploads.refuse(request.request_id)
            except FlowError as raised:
                error = error or raised
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
        if not self.calm:
            self._note()
        self.go_on()
        self.changed()

    def answered(self, done: Answer, binary: bool) -> None:
        """Send an answer."""
        if len(done.body) > self.room.small or self.room.large:
            self.room.weigh(len(done.body))
        self.send(done.body, binary)

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
            come.done()
            self.answered(refuse(come.entry.ended(), come.entry, come.request), come.binary)
        self.under_way.cancel(which)

    def lost(self) -> None:
        """The client is gone: nothing runs for it."""
        self.under_way.lost = True
        self.send = lambda payload, binary: None
        self.changed = lambda: None
        self.uploads.open.clear()
        self.cut()
