"""What a connection, or stream, has asked and is not answered to its end: answers are sent as they are ready."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred

from ...answer import Answer, Answered, AnswerStream, Entry, respond
from ...interfaces import ICodec, IDispatcher
from ...message import Request
from ..buffered import Account
from ..sending import Sending
from .held import Come

__all__ = ["UnderWay"]

Later = Callable[[Callable[[], object]], object]
"""Has a function called in another turn of the loop."""


class UnderWay:
    """See the module.

    :param dispatcher: what answers.
    :param account: where the bytes of what is in flight are counted.
    :param send: sends an answer, or a part of one, as text or binary.
    :param full: whether the client does not read: then no part is sent until `resume`.
    :param moved: called when something has been answered.
    :param flush: see `Sending`.
    """

    def __init__(
        self, dispatcher: IDispatcher, account: Account, send: Callable[..., object],
        full: Callable[[], bool], moved: Callable[[], object], later: Later, flush: Callable[[], object] | None = None,
    ) -> None:  # fmt: skip
        self.dispatcher = dispatcher
        self.in_flight = 0
        """Requests that are not answered, nor have begun to be in parts, nor come in parts."""
        self.lost = False
        """Whether the client is gone: what is answered in parts after all, though it was cancelled, is ended."""
        self._account, self._send, self._full, self._moved, self._later = account, send, full, moved, later
        self._flush = flush
        self._waiting: dict[Deferred[Any], str] = {}  # to the request's id, which may not be the only one
        self._streams: dict[Sending, str] = {}  # the same

    def __bool__(self) -> bool:
        return bool(self._waiting or self._streams)

    def begin(self, request: Request, codec: ICodec, entry: Entry, binary: bool, since: datetime, size: int) -> None:
        """Have a request answered that has come as a whole."""
        answered = respond(request, codec, self.dispatcher, entry, since)
        if type(answered) is Answer:
            self._send(answered, binary)
        elif type(answered) is AnswerStream:
            self._stream(answered, binary)
        else:
            later = cast("Deferred[Any]", answered)
            self.add(later, request.request_id, size)
            later.addCallback(self._done, binary, later, size)

    def start(self, come: Come) -> None:
        """Have a request answered that may come in parts."""
        if come.request.parts is None:
            self.begin(come.request, come.codec, come.entry, come.binary, come.since, come.size)
            return
        answered = respond(come.request, come.codec, self.dispatcher, come.entry, come.since)
        if not isinstance(answered, Deferred):
            self._send_whole_or_stream(answered, come.binary, come.done)
            return
        self._waiting[answered] = come.request.request_id
        answered.addCallback(self._answered_parts, answered, come)

    def _answered_parts(self, done: Answered, answered: Deferred[Any], come: Come) -> None:
        del self._waiting[answered]
        self._send_whole_or_stream(done, come.binary, come.done)
        self._moved()

    def add(self, waiting: Deferred[Any], request_id: str, size: int) -> None:
        """Count what is in flight, and came in *size* bytes."""
        self.in_flight += 1
        self._account.add(size)
        self._waiting[waiting] = request_id

    def drop(self, waiting: Deferred[Any], size: int) -> None:
        """It is not in flight any more."""
        self.in_flight -= 1
        self._account.add(-size)
        self._waiting.pop(waiting, None)

    def _done(self, done: Answered, binary: bool, answered: Deferred[Any], size: int) -> None:
        """A request that was in flight is answered; it came in *size* bytes."""
        self.drop(answered, size)
        self._send_whole_or_stream(done, binary)
        self._moved()

    def _send_whole_or_stream(self, done: Answered, binary: bool, ended: Callable[[], object] = lambda: None) -> None:
        """Send *done*, and call *ended* behind it."""
        if type(done) is AnswerStream:
            self._stream(done, binary, ended)
            return
        ended()
        self._send(done, binary)

    def _stream(self, stream: AnswerStream, binary: bool, ended: Callable[[], object] = lambda: None) -> None:
        if self.lost:
            stream.cancel()
            ended()
            return

        def over() -> None:
            del self._streams[sending]
            ended()
            self._moved()

        send = partial(self._send, binary=binary)
        sending = Sending(stream, send, self._full, over, self._later, self._flush)
        self._streams[sending] = stream.request_id
        sending.go_on()

    def resume(self) -> None:
        """The client reads again."""
        for sending in list(self._streams):
            sending.go_on()

    def cancel(self, which: Callable[[str], bool]) -> None:
        """Cancel what is under way under an id of *which*: that is answered, see `Gateway.ended`."""
        for answered in [each for each, its in self._waiting.items() if which(its)]:
            answered.cancel()
        for sending in [each for each, its in self._streams.items() if which(its)]:
            sending.cancel()
