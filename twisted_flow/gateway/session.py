"""What a WebSocket connection, or a gRPC stream, means: many requests in flight, answers as they are ready."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..answer import Answer, Origin, answer
from ..codec import json, protobuf
from ..errors import Unavailable
from ..interfaces import ICodec, IDispatcher
from ..limits import Limits
from ..maybe import MaybeDeferred
from ..message import Request, Response
from .buffered import Account, Buffered
from .failure import error_writer

__all__ = ["Session"]

_UNKNOWN = 16  # requests in flight until the first is answered: nothing says how large their answers are
_JSON, _PROTOBUF = cast(ICodec, json), cast(ICodec, protobuf)


@implementer(IDispatcher)
class Session:
    """The requests of one connection, or stream.

    :param dispatcher: what answers.
    :param origin: the gateway.
    :param encoding: 'json' or 'bytes', for all messages; None: text is JSON, and what is binary protobuf.
    :param send: sends a message: its bytes, and whether it is binary.
    :param idle: called whenever nothing is in flight any more.
    :param limits: how many requests may be in flight.
    :param buffered: counts what has come in, of all connections.
    """

    def __init__(
        self,
        dispatcher: IDispatcher,
        origin: Origin,
        encoding: str | None,
        send: Callable[[bytes, bool], None],
        idle: Callable[[], None],
        limits: Limits,
        buffered: Buffered,
    ) -> None:
        self.dispatcher, self.encoding, self.send, self.idle = dispatcher, encoding, send, idle
        self.in_flight = 0
        self.room = min(limits.max_in_flight, _UNKNOWN)
        """How many requests may be in flight, as large as messages are of late."""
        self.draining = False
        self._limits = limits
        self._small = limits.max_in_flight_size // limits.max_in_flight
        self._large = 1  # bytes of the largest message of late, if that is not small; 1: no answer was seen yet
        self._account = Account(buffered)
        self._under_way: dict[Deferred[Response], str] = {}  # to the request's id, which may not be the only one
        self._latest: Deferred[Response] | None = None
        self._within = False  # whether a message is being taken: what is dispatched now is its request
        self._json = replace(origin, write_error=error_writer(_JSON, origin.gateway), cancel=self.cancel)
        self._bytes = replace(origin, write_error=error_writer(_PROTOBUF, origin.gateway), cancel=self.cancel)

    def received(self, payload: bytes, binary: bool, since: datetime | None = None) -> None:
        """A message came: now, or *since* then it waits for those that came with it."""
        if len(payload) > self._small:
            self._weigh(len(payload))
        if self.encoding is not None:
            binary = self.encoding == "bytes"
        codec, origin = (_PROTOBUF, self._bytes) if binary else (_JSON, self._json)
        self._latest, self._within = None, True
        answered = answer(payload, codec, self, origin, since)  # which dispatches before it returns, or later
        self._within = False
        if type(answered) is Answer:
            self.answered(answered, binary)
        else:
            self.in_flight += 1
            self._account.add(len(payload))
            answered.addCallback(self.done, binary, self._latest, len(payload))

    def done(self, done: Answer, binary: bool, response: Deferred[Response] | None, size: int) -> None:
        """A request that was in flight is answered; it came in *size* bytes."""
        self.in_flight -= 1
        self._account.add(-size)
        if response is not None:
            self._under_way.pop(response, None)
        self.answered(done, binary)
        if not self.in_flight:
            self.idle()

    def answered(self, done: Answer, binary: bool) -> None:
        """Send an answer, if there is something to send."""
        if len(done.body) > self._small or self._large:
            self._weigh(len(done.body))
        if done.body:
            self.send(done.body, binary)

    def _weigh(self, size: int) -> None:
        """A message of *size* bytes came, or is to be sent: those to come may be as large, and the next ones fewer.

        What is large is forgotten slowly: large answers belong to small requests, or the other way round.
        """
        self._large = large = max(size, self._large - (self._large >> 3))
        if large <= self._small:
            self._large = 0
        most = self._limits.max_in_flight
        self.room = max(1, min(most, self._limits.max_in_flight_size // large)) if self._large else most

    def dispatch(self, request: Request) -> MaybeDeferred[Response]:
        """See `IDispatcher`; what is under way can be cancelled by its id."""
        if self.draining:
            raise Unavailable("the server stops")
        if not self._account.total.has_room():
            raise self._account.total.refusal()
        response: MaybeDeferred[Response] = self.dispatcher.dispatch(request)
        if type(response) is not Response:
            self._under_way[response] = request.request_id
            if self._within:
                self._latest = response
            else:  # it was large, and has been read in steps
                response.addBoth(self._over, response)
        return response

    def _over(self, outcome: Any, response: Deferred[Response]) -> Any:
        self._under_way.pop(response, None)
        return outcome

    def cancel(self, request_id: str) -> None:
        """Cancel whatever is under way under *request_id*."""
        for response in [each for each, its in self._under_way.items() if its == request_id]:
            response.cancel()

    def cut(self) -> None:
        """Answer at once whatever is under way: see `Origin.ended`."""
        for response in list(self._under_way):
            response.cancel()

    def lost(self) -> None:
        """The client is gone: nothing runs for it."""
        self.send = lambda payload, binary: None
        self.idle = lambda: None
        for response in list(self._under_way):
            response.cancel()
