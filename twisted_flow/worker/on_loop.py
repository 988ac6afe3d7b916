"""The ``async def`` methods of an executor in its own process: an event loop in a thread, which reads the pipe too."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from contextvars import Context as Variables
from functools import partial
from inspect import isasyncgen, iscoroutine
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ..document import DocumentArray
from ..executor.arrivals import Arrivals
from ..executor.at_once import at_once
from ..executor.call import Context, awaited, response_to
from ..executor.steps import AsynchronousGenerator, make_parts
from ..executor.table import find
from ..message import Request
from ..parts import Credit
from .messages import DONE, PART, read_failure, read_part

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["OnLoop"]


class OnLoop:
    """See the module.

    :param worker: whose methods these are.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[int, asyncio.Task[object]] = {}
        self._credits: dict[int, Credit] = {}  # of those that make parts
        self._woken: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._run, name="event loop", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        os._exit(1)  # a method has stopped the loop: no call would be answered any more

    def serve(self) -> None:
        """In the main thread: do what comes for it, until the pipe ends."""
        self._loop.call_soon_threadsafe(self._loop.add_reader, self.worker.pipe.fileno(), self._readable)
        while not self.worker.over:
            self._woken.get()
            self.worker._work()

    def wake(self) -> None:
        """There is something to do for the main thread."""
        self._woken.put(None)

    def _readable(self) -> None:
        self.worker.read_what_is_there()
        if self.worker.over:
            self._loop.remove_reader(self.worker.pipe.fileno())
            self.wake()

    def call(self, number: int, request: Request, context: Context, parts: bool) -> None:
        """On the loop: run a method.

        :param parts: whether more documents follow.
        """
        try:
            name = request.header.exec_endpoint
            endpoint = find(self.worker.executor.endpoints, name)
            if endpoint.takes_parts:
                taken = partial(self.worker.taken, number)
                context.arrivals = Arrivals(asyncio.Event(), request.docs, not parts, taken)
            result = find(self.worker.methods, name)(request, context)
            if iscoroutine(result) and not endpoint.suspends:
                result = at_once(result)
            elif isasyncgen(result) and request.stream:
                self._run_task(number, request, context, self._parts(number, context, result))
                return
            elif iscoroutine(result) or isasyncgen(result):
                self._run_task(number, request, context, awaited(result), result)
                return
            response = response_to(request, result)
        except BaseException as raised:
            self.worker.failed(number, raised)
        else:
            self.worker.answered(number, response)

    def _run_task(
        self,
        number: int,
        request: Request,
        context: Context,
        work: Coroutine[object, object, object],
        inner: object = None,
    ) -> None:
        answering = self._answer(number, request, context, work)
        self._tasks[number] = task = self._loop.create_task(answering, context=Variables())

        def ended(_: object) -> None:
            self._tasks.pop(number, None)
            if number in self.worker.contexts:  # it was cancelled before its first step
                work.close()
                if iscoroutine(inner):
                    inner.close()
                self.worker.cancelled(number)

        task.add_done_callback(ended)

    async def _parts(self, number: int, context: Context, generator: AsynchronousGenerator) -> DocumentArray:
        """Send what *generator* makes; return what is left to say at its end."""
        credit = self._credits[number] = Credit(asyncio.Event())
        try:
            put = partial(self.worker.part, number)
            await make_parts(generator, put, credit, lambda: context.cancelled, lambda: asyncio.sleep(0))
        finally:
            del self._credits[number]
        return DocumentArray()

    def arrived(self, kind: int, number: int, body: memoryview, arrays: list[memoryview]) -> None:
        """On the loop: more of the documents of a call, or their end."""
        context = self.worker.contexts.get(number)
        if context is None or context.arrivals is None:  # it has ended
            return
        if kind == PART:
            context.arrivals.put(*read_part(body, arrays))
        else:
            context.arrivals.end(None if kind == DONE else read_failure(body))

    def more(self, number: int, taken: int) -> bool:
        """On the loop: what a generator has made has been taken; return whether it runs here."""
        credit = self._credits.get(number)
        if credit is not None:
            credit.add(taken)
        return credit is not None

    async def _answer(
        self, number: int, request: Request, context: Context, result: Coroutine[object, object, object]
    ) -> None:
        try:
            response = response_to(request, await result, context)
        except asyncio.CancelledError as raised:
            if context.cancelled:
                self.worker.cancelled(number)
            else:
                self.worker.failed(number, raised)
        except BaseException as raised:
            self.worker.failed(number, raised)
        else:
            self.worker.answered(number, response)

    def cancel(self, number: int) -> bool:
        """On the loop: cancel a method, if it runs here; return whether it does."""
        task = self._tasks.get(number)
        return task is not None and task.cancel()

    def hook(self, number: int, coroutine: Coroutine[object, object, object]) -> None:
        """Run a hook that is an ``async def``, and tell how it ended."""
        self._loop.call_soon_threadsafe(self._begin_hook, number, coroutine)

    def _begin_hook(self, number: int, coroutine: Coroutine[object, object, object]) -> None:
        self._tasks[number] = self._loop.create_task(self._hook(number, coroutine))

    async def _hook(self, number: int, coroutine: Coroutine[object, object, object]) -> None:
        try:
            await coroutine
        except BaseException as raised:
            self.worker.raised(number, raised)
        else:
            self.worker.done(number)
        self._tasks.pop(number, None)
