"""A thread of the executor's own: its plain ``def`` methods run there, one at a time; ``async def`` ones on the loop.

The thread takes calls from a queue that both sides see: it need not wait for the loop between two calls, and what its
caller gives up is dropped at once. It is woken once for all calls of a turn of the loop, and wakes the loop once
for many answers, because a wake-up costs more than most calls. The constructor and ``close`` run in the thread too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from inspect import isgenerator
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import FlowError
from ..executor.call import Call, Context, error_of, response_to
from ..executor.spec import ExecutorSpec
from ..executor.steps import PlainGenerator, Steps
from ..executor.table import Endpoint, find
from ..feed import Feed, Relay
from ..interfaces import IDescribed, IDirect, IEngine, IEngineMaker, IExecutor
from ..loop import from_thread, next_turn
from ..maybe import MaybeDeferred
from ..message import Request, ResponseStream
from ..outcome import Outcome, dispatch_whole
from ..telemetry.printable import forget_frames
from .lifecycle import Lifecycle
from .on_loop import note_closing, run_on_loop

__all__ = ["ThreadEngine", "ThreadEngineMaker"]


class _Call:
    """One call of a method, or of a hook (which has no request), on its way to the thread and back."""

    __slots__ = ("began", "context", "deferred", "engine", "method", "outcome", "request")

    def __init__(
        self, engine: ThreadEngine, method: Call, request: Request | None = None, context: Context | None = None
    ) -> None:
        self.engine, self.method, self.request, self.context = engine, method, request, context
        self.deferred: Deferred[Any] = Deferred(self.cancel)
        self.outcome: object = None
        self.began = 0.0

    @property
    def is_hook(self) -> bool:
        """Whether it belongs to no request."""
        return self.request is None

    def cancel(self, _: Deferred[object]) -> None:
        """Fail the caller at once; a method that is running can see it in its context."""
        if self.context is not None:
            self.context.cancelled = True
        self.engine.left(self)

    def run(self) -> None:
        """In the thread: call the method, and make the response; a generator is run to its end for that."""
        request, context = self.request, self.context
        if context is not None and context.cancelled:
            return
        self.began = time.monotonic()
        try:
            result = self.method(request, context)  # type: ignore[arg-type]
            if request is None:
                self.outcome = result
            elif request.stream and isgenerator(result):
                exclusive = find(self.engine.endpoints, request.header.exec_endpoint).exclusive
                self.outcome = _Generator(self.engine, result, context).answer(request, exclusive)
            else:
                self.outcome = response_to(request, result)
        except BaseException as error:  # SystemExit of a user's method is the user's mistake too
            self.outcome = Failure(error if request is None else error_of(error, self.engine.name))

    def settle(self) -> None:
        """On the loop: tell the caller."""
        outcome = self.outcome
        if self.deferred.called:  # cancelled
            self.engine.dropped()
            if isinstance(outcome, Failure):
                forget_frames(outcome.value)
            elif type(outcome) is ResponseStream:
                outcome.parts.cancel()
        elif isinstance(outcome, Failure):
            self.deferred.errback(outcome)
        else:
            self.deferred.callback(outcome)


class _Generator:
    """A generator that the thread runs, some steps at a time: first right after the call that made it."""

    __slots__ = ("_context", "_error", "_granted", "_queued", "_steps", "began", "engine", "feed")
    is_hook = False

    def __init__(self, engine: ThreadEngine, generator: PlainGenerator, context: Context | None) -> None:
        self.engine, self._context, self.began = engine, context, 0.0
        self.feed = feed = Feed(self._more, self._cancel)
        self._steps = Steps(generator, Relay(feed, engine.to_loop).put)
        self._error: FlowError | None = None
        self._queued = True  # whether the thread has it, or will have it: then what it counts is not touched here
        self._granted = 0

    def answer(self, request: Request, exclusive: bool) -> ResponseStream:
        """In the thread: the answer to *request*."""
        self.engine.next_to_run(self, exclusive)
        return ResponseStream(request, self.feed.parts, [])

    def run(self) -> None:
        """In the thread: some steps."""
        self.began = time.monotonic()
        try:
            self._steps.run(self._is_cancelled, self.engine.is_pressed)
        except BaseException as raised:
            self._error = error_of(raised, self.engine.name)
        if self._steps.over and self.engine.kept is self:
            self.engine.kept = None
        self.began = 0.0

    def settle(self) -> None:
        """On the loop: the thread has it no more."""
        self._queued = False
        if self._steps.over:
            if self._error is not None and self.feed.parts.over:
                note_closing(self._error, self.engine.name)
            self.feed.end(self._error)
        else:
            self._go_on()

    def _go_on(self) -> None:
        steps = self._steps
        if self._queued or steps.over:
            return
        steps.left += self._granted
        self._granted = 0
        if steps.left > 0 or self._is_cancelled():
            self._queued = True
            self.engine.enqueue(self)

    def _more(self, taken: int) -> None:
        self._granted += taken
        self._go_on()

    def _cancel(self) -> None:
        assert self._context is not None
        self._context.cancelled = True
        self._go_on()

    def _is_cancelled(self) -> bool:
        return self._context is not None and self._context.cancelled


@implementer(IEngine, IDirect, IDescribed)
class ThreadEngine:
    """See the module. `window` is one call that runs and those that wait behind it."""

    def __init__(self, executor: IExecutor, most: int | None = None) -> None:
        self.most = most or 16
        self.executor, self.name, self.endpoints = executor, executor.name, executor.endpoints
        self._life = life = Lifecycle(executor, self._hook, self._end)
        self.stop, self.direct, self.watch = life.stop, life.direct, life.watch
        self._waiting: deque[_Call | _Generator] = deque()  # the loop appends and removes, the thread takes
        self._taken: deque[_Call | _Generator] = deque()  # by the thread, and not answered on the loop yet
        self.kept: _Generator | None = None  # the one that has the thread for itself
        self._left = 0  # of these, whose callers do not wait any more
        self._woken = False  # whether the thread is going to look
        self._inbox: SimpleQueue[bool] = SimpleQueue()

    @property
    def health(self) -> str:
        """See `IEngine`."""
        return self._life.health

    @property
    def window(self) -> int:
        """Smaller while a method runs whose caller has gone: it counts until it ends."""
        return self.most - self._left

    def start(self) -> Deferred[None]:
        """See `IEngine`."""
        self.to_loop, self._soon = from_thread(), next_turn()
        Thread(target=self._work, name=f"executor {self.name}", daemon=True).start()
        return self._life.start()

    def _end(self) -> None:
        self._inbox.put(False)

    def check(self, timeout: float, stuck_after: float | None) -> Deferred[None]:
        """See `IEngine`. While the thread is at work the question would wait behind that, and is not asked."""
        now = time.monotonic()
        ran = [now - call.began for call in self._taken.copy() if call.began]
        longest = max([self._life.under_way.longest(), *ran])
        stuck = stuck_after is not None and longest > stuck_after
        if (self._taken or self._waiting) and not stuck:
            return succeed(None)
        return self._life.check(timeout, stuck_after, longest)

    def describe(self) -> dict[str, object]:
        """See `IDescribed`."""
        return {"engine": "thread", "health": self.health, "window": self.window}

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        name = request.header.exec_endpoint
        endpoint: Endpoint | None = find(self.endpoints, name)
        if request.parts is not None and (endpoint is None or not endpoint.takes_parts):
            return dispatch_whole(request, self.dispatch)
        method = self._life.method(name)
        if method is None or endpoint is None:
            return response_to(request, None)
        if not endpoint.blocking:
            return run_on_loop(self.name, method, request, endpoint, self._life.under_way)
        return self._call(_Call(self, method, request, Context.of(request)))

    def _hook(self, function: Callable[[], object]) -> Deferred[Any]:
        return self._call(_Call(self, lambda request, context: function()))

    def _call(self, call: _Call) -> Deferred[Any]:
        self.enqueue(call)
        return call.deferred

    def enqueue(self, work: _Call | _Generator) -> None:
        """On the loop: have the thread do *work*, in its turn."""
        self._waiting.append(work)
        if not self._woken:
            self._woken = True
            self._soon(self._wake)  # for what else comes in this turn, too

    def next_to_run(self, generator: _Generator, exclusive: bool) -> None:
        """In the thread: have it run *generator* next; if that is *exclusive*, no other call until it has ended."""
        if exclusive:
            self.kept = generator
        self._waiting.appendleft(generator)

    def is_pressed(self) -> bool:
        """Whether something waits for the thread."""
        return bool(self._waiting) and self.kept is None

    def _next(self) -> _Call | _Generator | None:
        """In the thread: what it does next."""
        kept = self.kept
        try:
            if kept is None:
                return self._waiting.popleft()
            work = next(each for each in tuple(self._waiting) if each is kept or each.is_hook)
            self._waiting.remove(work)
        except (IndexError, ValueError, StopIteration):  # whose caller has gone meanwhile, or does not take yet
            return None
        return work

    def _wake(self) -> None:
        self._inbox.put(True)

    def left(self, call: _Call) -> None:
        """The caller of *call* does not wait any more."""
        try:
            self._waiting.remove(call)
        except ValueError:  # the thread has it already
            self._left += 1

    def dropped(self) -> None:
        """A call has ended whose caller did not wait any more."""
        self._left -= 1

    def _work(self) -> None:
        """The thread's loop: run calls, hand back their answers."""
        taken = self._taken.append
        while self._inbox.get():
            self._woken = False  # who comes from now on wakes it again
            while self._waiting:
                call = self._next()
                if call is None:
                    break
                taken(call)
                call.run()
                self.to_loop(self._answered, call)  # which wakes it once for many: no answer waits for the next call

    def _answered(self, work: _Call | _Generator) -> None:
        """On the loop again."""
        self._taken.popleft()
        work.settle()


@implementer(IEngineMaker)
class ThreadEngineMaker:
    """``engine='thread'``."""

    name = "thread"

    def make(self, executor: IExecutor, spec: ExecutorSpec) -> IEngine:
        """See `IEngineMaker`."""
        return ThreadEngine(executor, spec.max_concurrency)
