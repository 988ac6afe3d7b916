"""Answering calls in an executor's process. See `program` for its threads."""

from __future__ import annotations

import gc
import os
import pickle
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from inspect import iscoroutine, isgenerator
from typing import TYPE_CHECKING, Any

from ..document import DocumentArray
from ..document.outgoing import not_encoded
from ..executor.address import found_at
from ..executor.call import Call, Context, error_of, response_to
from ..executor.kinds import executor_of
from ..executor.table import find
from ..message import Request, Response
from ..wire.frames import FrameReader, Piece, frame
from .generator import WorkerGenerator
from .logs import send_logging
from .messages import (
    CALL,
    CANCEL,
    DONE,
    FAILED,
    MORE,
    PART,
    RAISED,
    Told,
    not_sendable,
    read_call,
    read_more,
    write_answer,
    write_failure,
    write_more,
    write_part,
    write_told,
)
from .pipe import send
from .raised import pickled

if TYPE_CHECKING:
    from .on_loop import OnLoop

__all__ = ["Worker"]

_GLANCE = 0.004  # seconds between looks at the pipe while a method runs: what a call brings is read meanwhile


class Worker:
    """See the module.

    :param pipe: to the server.
    """

    def __init__(self, pipe: socket.socket) -> None:
        self.pipe, self.over = pipe, False
        self.executor: Any = None
        self.methods: Mapping[str, Call] = {}
        self.contexts: dict[int, Context] = {}
        """Of the calls that have come in and are not answered."""
        self.generators: dict[int, WorkerGenerator] = {}
        """Those that the main thread runs, by the number of their calls."""
        self.kept: WorkerGenerator | None = None
        """The one that has the main thread for itself, and the calls that wait for its end."""
        self.aside: list[Callable[[], object]] = []
        self.todo: deque[Callable[[], object]] = deque()
        self.on_loop: OnLoop | None = None
        """The event loop's part, where there are ``async def`` methods."""
        self._reader = FrameReader(self._received)
        self._reading, self._sending = threading.Lock(), threading.Lock()
        self._busy = threading.Event()
        self._working = False
        self._turns = 0
        self.running = 0
        """The call whose method the main thread runs."""

    def run(self) -> None:
        """Answer calls until the pipe ends."""
        threading.Thread(target=self._look_after, name="pipe", daemon=True).start()
        while not self.over:
            with self._reading:
                if not self.todo:  # of a large frame all at once: the kernel copies while more comes in
                    self._read(socket.MSG_WAITALL if self._reader.needs_all() else 0)
            self._work()
            if self.on_loop is not None:
                self.on_loop.serve()
                return

    def read_what_is_there(self) -> None:
        """Read without waiting."""
        self._read(socket.MSG_DONTWAIT)

    def _read(self, flags: int = 0) -> None:
        try:
            size = self.pipe.recv_into(self._reader.room(), 0, flags)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if size:
            self._reader.filled(size)
        else:
            self.over = True

    def _work(self) -> None:
        """Run what there is to do. Answers leave one by one: while the server takes one, the next is made."""
        self._turns += 1
        self._working = True
        if not self._busy.is_set():
            self._busy.set()
        while self.todo:
            self.todo.popleft()()
        self._working = False

    def _look_after(self) -> None:
        """A thread: while a method runs for long, see what comes."""
        turn = 0
        while True:
            self._busy.wait()
            time.sleep(_GLANCE)
            if not self._working:
                self._busy.clear()
                if self._working:
                    self._busy.set()
            elif self._turns != turn:
                turn = self._turns
            elif self.on_loop is None and self._reading.acquire(blocking=False):
                with suppress(Exception):
                    self.read_what_is_there()
                self._reading.release()
                if self.over:  # the server has gone: nobody waits for what runs
                    os._exit(1)

    def _received(self, kind: int, number: int, body: memoryview, arrays: list[memoryview]) -> None:
        if kind == CALL:
            try:
                request, parts = read_call(body, arrays)
            except Exception as raised:  # of an earlier executor: what no message can have
                self.failed(number, raised)
                return
            context = self.contexts[number] = Context.of(request)
            if self.on_loop is not None and not find(self.executor.endpoints, request.header.exec_endpoint).blocking:
                self.on_loop.call(number, request, context, parts)
            else:
                self.add(lambda: self._call(number, request, context))
        elif kind in (PART, DONE, FAILED):
            if self.on_loop is not None:
                self.on_loop.arrived(kind, number, body, arrays)
        elif kind == CANCEL:
            context = self.contexts.get(number)  # type: ignore[assignment]
            if context is not None:
                context.cancelled = True
                if self.on_loop is not None and self.on_loop.cancel(number):
                    return
                generator = self.generators.get(number)
                if generator is not None:
                    self.add(generator.run)  # which closes it
                elif number != self.running:  # it waits for its turn: its place is free
                    self.cancelled(number)
        elif kind == MORE:
            taken = read_more(body)
            if self.on_loop is None or not self.on_loop.more(number, taken):
                self.add(lambda: self._more(number, taken))
        else:
            command = bytes(body)
            self.add(lambda: self._command(number, command))

    def add(self, work: Callable[[], object]) -> None:
        """Have *work* done in the main thread."""
        self.todo.append(work)
        if self.on_loop is not None:
            self.on_loop.wake()

    def _call(self, number: int, request: Request, context: Context) -> None:
        if context.cancelled:
            return  # and that has been told
        if self.kept is not None:
            self.aside.append(partial(self._call, number, request, context))
            return
        self.running = number
        try:
            method = find(self.methods, request.header.exec_endpoint)
            result = method(request, context)
            if request.stream and isgenerator(result):
                generator = self.generators[number] = WorkerGenerator(self, number, request, context, result)
                if find(self.executor.endpoints, request.header.exec_endpoint).exclusive:
                    self.kept = generator
                generator.run()
                return
            response = response_to(request, result)
        except BaseException as raised:  # SystemExit of a user's method is the user's mistake too
            self.failed(number, raised)
        else:
            self.answered(number, response)

    def _more(self, number: int, taken: int) -> None:
        """What a generator has made has been taken."""
        generator = self.generators.get(number)
        if generator is not None:
            generator.more(taken)

    def part(self, number: int, docs: DocumentArray, cost: int) -> None:
        """Send a part of an answer.

        :raises ExecutorError: if there is something in it that cannot travel.
        """
        try:
            pieces = write_part(number, docs, cost)
        except Exception as raised:
            raise not_encoded("the answer", raised, docs, DocumentArray(), {}) from raised
        self._send(pieces)

    def taken(self, number: int, taken: int) -> None:
        """Tell what a method has taken of the documents that come."""
        self._send(write_more(number, taken))

    def answered(self, number: int, response: Response) -> None:
        """Send the answer to a call."""
        try:
            pieces = write_answer(number, response)
        except Exception as raised:  # whatever the method put into its documents
            self.failed(number, not_sendable(raised, response, "the answer"))
            return
        self.contexts.pop(number, None)
        self._send(pieces)

    def failed(self, number: int, raised: BaseException) -> None:
        """Send the error of a call."""
        self.contexts.pop(number, None)
        self._send(write_failure(number, error_of(raised, self.executor.name)))

    def cancelled(self, number: int) -> None:
        """Tell that a call has ended that nobody waits for."""
        self.contexts.pop(number, None)
        self._send(frame(DONE, number, b""))

    def _command(self, number: int, body: bytes) -> None:
        name, _, argument = body.partition(b" ")
        try:
            run = partial(self._open, argument) if name == b"open" else getattr(self.executor, name.decode())
            result = run()
            if iscoroutine(result):
                self._loop().hook(number, result)
                return
        except BaseException as raised:
            self.raised(number, raised)
        else:
            if name == b"warm_up":
                gc.collect()
                gc.freeze()  # what is there now stays, and need not be looked at again
            self.done(number)

    def done(self, number: int) -> None:
        """Tell that a command is done."""
        self._send(frame(DONE, number, b""))

    def raised(self, number: int, raised: BaseException) -> None:
        """Tell what a command raised."""
        self._send(frame(RAISED, number, pickled(raised)))

    def _loop(self) -> OnLoop:
        """The event loop's part; made where a method or a hook is an ``async def``."""
        if self.on_loop is None:
            from .on_loop import OnLoop  # asyncio only for those who use it

            self.on_loop = OnLoop(self)
        return self.on_loop

    def _open(self, argument: bytes) -> None:
        told = pickle.loads(argument)
        sys.path[:] = told["path"]
        sys.argv[:] = told["argv"]
        send_logging(self._log)
        uses = found_at(told["address"])
        spec = pickle.loads(told["spec"])
        self.executor = executor_of(uses, spec)
        if not all(endpoint.blocking for endpoint in self.executor.endpoints.values()):
            self._loop()
        self.methods = self.executor.open()

    def _log(self, told: Told) -> None:
        self._send(write_told(told))

    def _send(self, pieces: list[Piece]) -> None:
        with self._sending:
            try:
                send(self.pipe, pieces)
            except OSError:  # the server has gone
                self.over = True
