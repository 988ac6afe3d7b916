"""The calls and commands that a child process has under way: sent as frames, settled by the frames that come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..document.outgoing import not_encoded
from ..errors import Cancelled, FlowError
from ..feed import Feed, Relay
from ..loop import next_turn
from ..loop.child import Child
from ..maybe import MaybeDeferred
from ..message import Request, ResponseStream
from ..outcome import Outcome, promised
from ..pump import Pump
from ..telemetry.logs import log_told
from ..wire.frames import frame
from ..worker.messages import (
    ANSWER,
    CANCEL,
    COMMAND,
    DONE,
    FAILED,
    LOG,
    MORE,
    PART,
    RAISED,
    not_sendable,
    read_answer,
    read_failure,
    read_more,
    read_part,
    read_told,
    write_call,
    write_failure,
    write_more,
    write_part,
)
from ..worker.raised import unpickled
from .on_loop import note_closing

__all__ = ["ChildCalls"]


class _Call:
    """A call that the process has, until it answers: also one whose caller does not wait any more."""

    __slots__ = ("alarm", "deferred", "exclusive", "left", "pump", "relay", "request", "since")

    def __init__(self, request: Request, exclusive: bool, cancel: Callable[[Deferred[Any]], None]) -> None:
        self.request, self.exclusive, self.since = request, exclusive, time.monotonic()
        self.deferred: Deferred[Outcome] = Deferred(cancel)
        self.relay: Relay | None = None  # of its parts, once the first has come
        self.pump: Pump | None = None  # of the request's, where it has some
        self.left = False  # whether the caller does not wait any more
        self.alarm: Any = None

    def fail(self, error: FlowError) -> None:
        """Tell the caller, if there is one."""
        if self.relay is not None:
            self.relay.end(error)
        elif not self.deferred.called:
            self.deferred.errback(error)

    def end(self) -> None:
        """It has ended: nothing more is sent for it, nor is it waited for."""
        if self.pump is not None:
            self.pump.stop()
        if self.alarm is not None and self.alarm.active():
            self.alarm.cancel()


class ChildCalls:
    """See the module.

    :param name: the executor's, for errors.
    :param label: the same with its numbers, for the log.
    :param overdue: called with the deadline of a call that was given up; returns the timer that kills the process.
    :param room: called when a call has ended whose caller did not wait any more.
    """

    def __init__(self, name: str, label: str, overdue: Callable[[float], Any], room: Callable[[], object]) -> None:
        self.name, self._label = name, label
        self.child: Child | None = None
        """The process; None before the first one."""
        self.left = 0
        """Calls whose callers do not wait any more, and that have not ended."""
        self._overdue, self._room = overdue, room
        self._calls: dict[int, _Call] = {}
        self._commands: dict[int, Deferred[None]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._calls)

    def longest(self) -> float:
        """For how many seconds the longest of the calls has run."""
        calls = list(self._calls.values())
        alone = [call for call in calls if call.exclusive and call.relay is not None]  # the others wait for it
        at_work = (
            call.since
            for call in alone or calls
            if call.pump is None and (call.relay is None or call.relay.feed.starved)  # else it may wait for its caller
        )
        first = min(at_work, default=None)
        return 0.0 if first is None else time.monotonic() - first

    def call(self, request: Request, exclusive: bool = False) -> MaybeDeferred[Outcome]:
        """Send *request*, whose endpoint the executor has.

        :param exclusive: whether nothing else runs before it has ended.

        :return: fires with the answer, of a stream with its first part; fails with a `FlowError`. Where its documents
            still come, a stream is there at once.
        :raises ExecutorError: if it cannot be sent.
        """
        child = self.child
        assert child is not None
        self._number = number = self._number + 1
        try:
            pieces = write_call(number, request)
        except Exception as raised:  # an earlier executor of the flow has put it there
            error = not_sendable(raised, request, f"what executor {self.name!r} takes")
            error.executor, error.begun = self.name, False
            raise error from raised
        call = self._calls[number] = _Call(request, exclusive, lambda _: self._cancel(number))
        child.write(pieces)
        if request.parts is None:
            return call.deferred
        call.pump = Pump(request.parts, partial(self._put, number), partial(self._end, number))
        call.pump.more(0)
        return promised(call.deferred, request)

    def _put(self, number: int, part: DocumentArray, cost: int) -> None:
        """A part of the request of a call has come."""
        call = self._calls[number]
        assert self.child is not None
        try:
            self.child.write(write_part(number, part, cost))
        except Exception as raised:  # see `call`
            error = not_encoded(f"what executor {self.name!r} takes", raised, part, DocumentArray(), {})
            self._cancel(number)
            call.fail(error)

    def _end(self, number: int, failure: Failure | None) -> None:
        """No more of it will come."""
        assert self.child is not None
        call = self._calls[number]
        call.pump, call.since = None, time.monotonic()  # from now on it waits for nobody
        if failure is None:
            self.child.write(frame(DONE, number, b""))
        else:
            error = failure.value if isinstance(failure.value, FlowError) else Cancelled("its parts were cancelled")
            self.child.write(write_failure(number, error))

    def _cancel(self, number: int) -> None:
        """The caller does not wait any more."""
        call = self._calls.get(number)
        if call is None or self.child is None:
            return
        call.left = True
        self.left += 1
        call.end()
        self.child.write(frame(CANCEL, number, b""))
        if call.request.deadline is not None:
            call.alarm = self._overdue(call.request.deadline)

    def command(self, name: str, argument: bytes = b"") -> Deferred[None]:
        """Have a command run in the process; if it is cancelled the process is killed.

        :return: fails with what it raises there.
        """
        child = self.child
        assert child is not None
        self._number = number = self._number + 1
        done: Deferred[None] = Deferred(lambda _: child.kill())
        self._commands[number] = done
        child.write(frame(COMMAND, number, name.encode() + b" " + argument))
        return done

    def take(self, kind: int, number: int, body: memoryview, arrays: list[memoryview]) -> None:
        """Take a frame of the process."""
        if kind == LOG:
            told = read_told(body)
            log_told(self._label, told.level, told.logger, told.text)
            return
        if kind == PART:
            self._take_part(number, body, arrays)
            return
        if kind == MORE:
            pumped = self._calls.get(number)
            if pumped is not None and pumped.pump is not None:
                pumped.pump.more(read_more(body))
            return
        call = self._calls.pop(number, None)
        if call is None:
            self._take_command(kind, number, body)
            return
        call.end()
        if call.left:
            self.left -= 1
            if kind == FAILED and call.relay is not None:
                note_closing(read_failure(body), self._label)
            self._room()
        elif call.relay is not None:
            call.relay.end(None if kind == ANSWER else read_failure(body))
        elif kind == ANSWER:
            try:
                response = read_answer(call.request, body, arrays)
            except Exception as raised:  # whatever a method has put past the checks of a document
                call.deferred.errback(not_sendable(raised, call.request, "the answer"))
            else:
                call.deferred.callback(response)
        elif kind == FAILED:
            call.deferred.errback(read_failure(body))
        else:
            call.deferred.errback(CancelledError())

    def _take_part(self, number: int, body: memoryview, arrays: list[memoryview]) -> None:
        call = self._calls[number]
        if call.left:
            return
        call.since = time.monotonic()
        try:
            part, cost = read_part(body, arrays)
        except Exception as raised:  # see `take`
            self._cancel(number)
            call.fail(not_sendable(raised, call.request, "the answer"))
            return
        if call.relay is not None:
            call.relay.put(part, cost)
            return
        feed = Feed(lambda taken: self._more(number, taken), lambda: self._cancel(number))
        call.relay = Relay(feed, next_turn())
        feed.put(part, cost)
        call.deferred.callback(ResponseStream(call.request, feed.parts, []))

    def _more(self, number: int, taken: int) -> None:
        call = self._calls.get(number)
        if call is not None and self.child is not None:
            call.since = time.monotonic()
            self.child.write(write_more(number, taken))

    def _take_command(self, kind: int, number: int, body: memoryview) -> None:
        command = self._commands.pop(number, None)
        if command is None or command.called:
            return
        if kind == RAISED:
            command.errback(unpickled(bytes(body)))
        else:
            command.callback(None)

    def fail(self, error: Callable[[], FlowError]) -> None:
        """Fail all that is under way: the process is gone."""
        calls, self._calls = self._calls, {}
        commands, self._commands = self._commands, {}
        self.left = 0
        for call in calls.values():
            call.end()
            call.fail(error())
        for command in commands.values():
            if not command.called:
                command.errback(error())
