"""Long work in steps: what comes meanwhile is answered between two of them."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from twisted_flow.loop import turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("twisted.internet.reactor", clock)
    monkeypatch.setattr(turns, "asyncio_loop", lambda: None)
    monkeypatch.setattr(turns, "_TURN", -1.0)  # each step takes all of it
    return clock


def test_an_answer_leaves_before_the_next_step(clock: Clock) -> None:
    """What comes in while a step is taken, and is written at the end of a turn; so it is before what follows them."""
    told: list[str] = []

    def steps() -> Generator[None, None, str]:
        for number in range(3):
            told.append(f"step {number}")
            clock.callLater(0, lambda: clock.callLater(0, told.append, "answer"))
            if number < 2:
                yield
        return "all"

    turns.in_turns(steps()).addCallback(told.append)
    clock.advance(0)
    assert told == ["step 0", "answer", "step 1", "answer", "step 2", "answer", "all"]


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_cancelled(clock: Clock, taken: int) -> None:
    """Whenever that is, the steps end, and nothing comes of them."""
    closed: list[bool] = []
    working = turns.in_turns(_steps(closed))
    working.addErrback(lambda failure: failure.trap(CancelledError))
    for _ in range(taken):
        call = clock.calls.pop(0)
        call.func(*call.args, **call.kw)
    working.cancel()
    clock.advance(0)
    assert not clock.calls
    assert closed == [True] * (taken > 1)  # else no step was taken


def _steps(closed: list[bool]) -> Generator[None, None, str]:
    try:
        yield
        return "all"
    finally:
        closed.append(True)
