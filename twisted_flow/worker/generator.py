"""A generator of a ``def`` method, which the main thread of an executor's process runs, some steps at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..document import DocumentArray
from ..executor.call import Context
from ..executor.steps import PlainGenerator, Steps
from ..message import Request, Response

if TYPE_CHECKING:
    from .worker import Worker

__all__ = ["WorkerGenerator"]


class WorkerGenerator:
    """See the module. All of it is called in the main thread.

    :param worker: whose call this answers.
    """

    def __init__(
        self, worker: Worker, number: int, request: Request, context: Context, generator: PlainGenerator
    ) -> None:
        self.worker, self.number, self.request, self.context = worker, number, request, context
        self._steps = Steps(generator, self._put)
        self._queued = False

    def _put(self, part: DocumentArray, cost: int) -> None:
        self.worker.part(self.number, part, cost)

    def more(self, taken: int) -> None:
        """So much of what was made has been taken."""
        self._steps.left += taken
        if not self._queued:
            self.run()

    def run(self) -> None:
        """Make some parts; close it where they are not wanted any more."""
        if self._steps.over:
            return
        if self.worker.kept not in (None, self) and not self.context.cancelled:
            self._queued = True
            self.worker.aside.append(self.run)
            return
        self._queued = False
        self.worker.running = self.number
        try:
            self._steps.run(lambda: self.context.cancelled, lambda: bool(self.worker.todo))
        except BaseException as raised:
            self._end()
            self.worker.failed(self.number, raised)
            return
        if not self._steps.over:
            if self._steps.left > 0:
                self._queued = True
                self.worker.add(self.run)
            return
        self._end()
        if self.context.cancelled:
            self.worker.cancelled(self.number)
        else:
            request = self.request
            self.worker.answered(self.number, Response(request, DocumentArray(), request.groundtruths, []))

    def _end(self) -> None:
        worker = self.worker
        del worker.generators[self.number]
        if worker.kept is self:
            worker.kept, aside, worker.aside = None, worker.aside, []
            for call in aside:
                worker.add(call)
