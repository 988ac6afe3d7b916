"""How a method is called: an ``async def`` that never waits costs no task, and looks like one all the same."""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import request
from twisted_flow.executor.at_once import at_once
from twisted_flow.executor.call import Context, caller
from twisted_flow.executor.table import function_endpoints

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="fresh")


def called(method: Callable[..., Any]) -> Callable[[], Any]:
    """What calls *method*, as the engine does."""
    call = caller(method, function_endpoints(method)["/default"])
    asked = request()
    return lambda: at_once(call(asked, Context(asked.request_id)))


def test_fresh_context() -> None:
    """What one call sets in its context shows in no other, nor in the caller's."""
    seen = []

    async def sets() -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set("set")

    call = called(sets)
    for _ in range(3):
        call()
    assert (seen, VARIABLE.get()) == (["fresh"] * 3, "fresh")


def test_one_within_another() -> None:
    """A call may lead to another before it is done."""

    async def inner() -> str:
        return "inner"

    async def outer() -> Any:
        return [called(inner)(), called(inner)(), "outer"]

    assert called(outer)() == ["inner", "inner", "outer"]


def test_nothing_is_kept() -> None:
    """What a call returned is its caller's alone."""

    class Large:
        pass

    async def returns() -> Large:
        return Large()

    large = called(returns)()
    seen = weakref.ref(large)
    del large
    assert seen() is None


def test_raises_and_goes_on() -> None:
    """Whatever it raises comes out as it is, and the next call is none the wiser."""
    outcomes: list[Any] = [ValueError("a"), SystemExit(2), None, StopIteration(3)]

    async def does() -> str:
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome
        return "done"

    call = called(does)
    with pytest.raises(ValueError, match="a"):
        call()
    with pytest.raises(SystemExit):
        call()
    assert call() == "done"
    with pytest.raises(RuntimeError, match="StopIteration"):
        call()


def test_code_that_is_swapped_for_one_that_waits() -> None:
    """As reloading in a notebook does: the call fails, and no other request gets what was meant for it."""

    async def does() -> str:
        return "done"

    async def waits() -> str:
        await asyncio.sleep(0)
        return "waited"

    call = called(does)
    does.__code__ = waits.__code__
    with pytest.raises(RuntimeError, match="suspended"):
        call()

    async def other() -> str:
        return "other"

    assert called(other)() == "other"
