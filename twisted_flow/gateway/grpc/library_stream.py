"""``/jina.JinaRPC/Call``: a stream of requests, a stream of answers as they are ready."""

from __future__ import annotations

from collections import deque
from typing import Any

from grpc import aio

from ...answer import Entry
from ...interfaces import IDispatcher
from ...limits import Limits
from ...loop import Signal, next_turn, spawn
from ..buffered import Buffered
from ..session.session import Session

__all__ = ["CallContext", "Stream"]

CallContext = Any
"""grpcio's ``ServicerContext``: that package has no types."""


_AHEAD = 4
"""Messages that wait to be written until parts are made no more."""


class Stream:
    """One call.

    It reads in one task and writes in another: neither waits for the other but where too much is in flight.

    :param context: of the call.
    :param limits: what may be in flight; beyond that reading stops.
    :param buffered: counts what has come in, of all connections.
    """

    def __init__(
        self, dispatcher: IDispatcher, entry: Entry, context: CallContext, limits: Limits, buffered: Buffered
    ) -> None:
        self.context = context
        self.session = Session(dispatcher, entry, "bytes", self.send, self.changed, limits, buffered, next_turn())
        self.answers: deque[bytes] = deque()
        self.ended = False
        """Whether the client sends no more."""
        self._something, self._room = Signal(), Signal()

    def send(self, payload: bytes, binary: bool) -> None:
        """An answer is ready."""
        self.answers.append(payload)
        self.session.unread = len(self.answers)
        self.session.full = len(self.answers) >= _AHEAD
        self._something.set()

    def changed(self) -> None:
        """Something has been answered, or there is room again."""
        self._something.set()
        self._room.set()

    def drain(self) -> None:
        """End when what is in flight is answered."""
        self.session.draining = True
        self._something.set()

    def end(self) -> None:
        """End now: see `Entry.hold`."""
        self.session.cut()
        self.drain()

    async def run(self) -> None:
        """Read and write until both are done."""
        reading = spawn(self._read())
        reading.addErrback(lambda failure: None)  # the call's own end tells
        session = self.session
        try:
            while True:
                while self.answers:
                    await self.context.write(self.answers.popleft())
                    session.unread = len(self.answers)
                    self._room.set()
                    if session.full:
                        session.resume()
                    else:
                        session.go_on()
                if (self.ended or session.draining) and not session.busy and not self.answers:
                    return
                self._something.clear()
                await self._something.wait()
        finally:
            reading.cancel()
            session.lost()

    async def _read(self) -> None:
        context, session = self.context, self.session
        try:
            while (message := await context.read()) is not aio.EOF:
                session.received(message, True)
                while not session.ahead:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self.ended = True
            session.end_of_input()
            self._something.set()
