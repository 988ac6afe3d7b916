"""The requests of a WebSocket connection or a gRPC stream: many in flight, answered as they are ready."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..answer import Answer, Answered, AnswerStream, Entry, read, refuse, respond
from ..codec.codecs import codec_of
from ..errors import FlowError, Unavailable
from ..interfaces import ICodec, IDispatcher
from ..limits import Limits
from ..maybe import MaybeDeferred
from ..message import Request
from .buffered import Account, Buffered
from .failure import error_writer
from .messages import parts_as_messages
from .sending import Sending

__all__ = ["Session"]

_UNKNOWN = 16  # requests in flight until the first is answered: nothing says how large their answers are
_NOTHING = Answer(b"", "")  # what a request to cancel another is answered: the other's answer tells


class Session:
    """The requests of one connection, or stream.

    :param dispatcher: what answers.
    :param entry: the gateway, and what the connection's head says.
    :param encoding: the subprotocol that says what all messages are; None: text is JSON, and what is binary protobuf.
    :param send: sends a message: its bytes, and whether it is binary.
    :param idle: called whenever nothing is in flight any more.
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
        idle: Callable[[], None],
        limits: Limits,
        buffered: Buffered,
        later: Callable[[Callable[[], object]], object],
    ) -> None:
        self.dispatcher, self.send, self.idle, self._later = dispatcher, send, idle, later
        self.in_flight = 0
        """Requests that are not answered, nor have begun to be in parts."""
        self.full = False
        """Whether the client does not read: no part is sent until `resume`."""
        self._streams: dict[Sending, str] = {}  # to the request's id
        self.room = min(limits.max_in_flight, _UNKNOWN)
        """How many requests may be in flight, as large as messages are of late."""
        self.draining = False
        self._limits = limits
        self._small = limits.max_in_flight_size // limits.max_in_flight
        self._large = 1  # bytes of the largest message of late, if that is not small; 1: no answer was seen yet
        self._account = Account(buffered)
        self._under_way: dict[Deferred[Any], str] = {}  # to the request's id, which may not be the only one
        only = None if encoding is None else codec_of(subprotocol=encoding)
        self._read_as: dict[bool, tuple[ICodec, Entry, bool]] = {}  # by whether a message is binary
        for binary in (False, True):
            row = only or codec_of(binary=binary)
            error = error_writer(row.codec, entry.gateway.id)
            here = replace(entry, write_error=error, parts=parts_as_messages(row.codec))
            self._read_as[binary] = row.codec, here, row.binary

    def received(self, payload: bytes, binary: bool, since: datetime | None = None) -> None:
        """A message came: now, or *since* then it waits for those that came with it."""
        if len(payload) > self._small:
            self._weigh(len(payload))
        codec, entry, binary = self._read_as[binary]
        since = since or datetime.now(UTC)
        try:
            request = read(payload, codec, entry)
        except FlowError as error:
            self.answered(refuse(error, entry), binary)
            return
        if type(request) is Request:
            answered = self._respond(request, codec, entry, since)
            if type(answered) is Answer or type(answered) is AnswerStream:
                self._take(answered, binary)
                return
            later = cast("Deferred[Any]", answered)
            self._under_way[later] = request.request_id
        else:  # it is large
            later = cast("Deferred[Any]", request)
            self._under_way[later] = ""
            later.addCallbacks(
                self._read, self._not_read, callbackArgs=(later, codec, entry, since), errbackArgs=(entry,)
            )
        self.in_flight += 1
        self._account.add(len(payload))
        later.addCallback(self._done, binary, later, len(payload))

    def _read(
        self, request: Request, reading: Deferred[Any], codec: ICodec, entry: Entry, since: datetime
    ) -> MaybeDeferred[Answered]:
        self._under_way[reading] = request.request_id
        return self._respond(request, codec, entry, since)

    def _not_read(self, failure: Failure, entry: Entry) -> Answer:
        return refuse(cast(FlowError, failure.value), entry)

    def _respond(self, request: Request, codec: ICodec, entry: Entry, since: datetime) -> MaybeDeferred[Answered]:
        if request.cancels:
            self.cancel(request.request_id)
            return _NOTHING
        if self.draining:
            return refuse(Unavailable("the server is stopping"), entry, request)
        total = self._account.total
        if not total.has_room():
            return refuse(total.refusal(), entry, request)
        return respond(request, codec, self.dispatcher, entry, since)

    def _done(self, done: Answered, binary: bool, answered: Deferred[Any], size: int) -> None:
        """A request that was in flight is answered; it came in *size* bytes."""
        self.in_flight -= 1
        self._account.add(-size)
        self._under_way.pop(answered, None)
        self._take(done, binary)
        if not self.busy:
            self.idle()

    @property
    def busy(self) -> bool:
        """Whether anything is not answered to its end."""
        return bool(self.in_flight or self._streams)

    def _take(self, done: Answered, binary: bool) -> None:
        """Send *done*; of a stream part after part."""
        if type(done) is Answer:
            self.answered(done, binary)
            return

        def over() -> None:
            del self._streams[sending]
            if not self.busy:
                self.idle()

        sending = Sending(done, lambda piece: self.answered(piece, binary), lambda: self.full, over, self._later)
        self._streams[sending] = done.request_id
        sending.go_on()

    def resume(self) -> None:
        """The client reads again."""
        self.full = False
        for sending in list(self._streams):
            sending.go_on()

    def answered(self, done: Answer, binary: bool) -> None:
        """Send an answer, if there is something to send."""
        if len(done.body) > self._small or self._large:
            self._weigh(len(done.body))
        if done.body:
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

    def cancel(self, request_id: str) -> None:
        """Cancel whatever is under way under *request_id*."""
        for answered in [each for each, its in self._under_way.items() if its == request_id]:
            answered.cancel()
        for sending in [each for each, its in self._streams.items() if its == request_id]:
            sending.cancel()

    def cut(self) -> None:
        """Answer at once whatever is under way: see `Gateway.ended`."""
        for answered in list(self._under_way):
            answered.cancel()
        for sending in list(self._streams):
            sending.cancel()

    def lost(self) -> None:
        """The client is gone: nothing runs for it."""
        self.send = lambda payload, binary: None
        self.idle = lambda: None
        self.cut()
