"""Running coroutines that never suspend, without the cost of a task."""

from __future__ import annotations

import contextvars
import types
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

__all__ = ["at_once", "at_once_in"]

_Step = Callable[[object], object]


class _Stepper:
    """Runs one coroutine after another, in a context where nothing of another shows through.

    A coroutine that is sent to by itself ends in a StopIteration, which costs more than this.
    """

    __slots__ = ("context", "send", "step")

    def __init__(self) -> None:
        steps = _steps()
        steps.send(None)
        self.send: _Step = steps.send
        self.refresh()

    def refresh(self) -> None:
        """Begin a new context."""
        self.context = contextvars.Context()
        run: Callable[..., object] = self.context.run
        self.step: _Step = partial(run, self.send)


_idle: list[_Stepper] = []


def at_once(coroutine: object) -> object:
    """The result of *coroutine*, which never suspends.

    :raises RuntimeError: if it suspends after all.
    """
    return _run(_idle.pop() if _idle else _Stepper(), coroutine)  # it may lead to another before it is done


def at_once_in(function: Callable[[contextvars.Context], object]) -> Any:
    """The same for the coroutine that *function* returns; it is given the context that it will run in."""
    stepper = _idle.pop() if _idle else _Stepper()
    return _run(stepper, function(stepper.context))


def _run(stepper: _Stepper, coroutine: Any) -> object:
    returned = stepper.step(coroutine)
    if coroutine.cr_frame is not None:
        raise RuntimeError("suspended, though its code has no await")
    if stepper.context:
        stepper.refresh()
    _idle.append(stepper)  # but one whose coroutine raised, or waits: its generator is done for
    return returned


@types.coroutine
def _steps() -> Generator[Any, Any, object]:
    coroutine = yield
    while True:
        coroutine = yield (yield from coroutine)
