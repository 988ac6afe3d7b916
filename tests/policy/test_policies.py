"""Admission and deadlines, with a clock of our own."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.support import Held, asking, request
from twisted_flow.errors import DeadlineExceeded, NotFound, QueueFull
from twisted_flow.policy.admission import Admission
from twisted_flow.policy.deadline import Deadline


class Engine(Held):
    name = "e"

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window


def failure_of(deferred: Deferred[Any]) -> BaseException:
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    assert failures, "it has not failed"
    return failures[0].value


class TestAdmission:
    def test_window_queue_refusal(self) -> None:
        """Two are let through, two wait, the fifth is told at once, with a hint when to try again."""
        engine = Engine(2)
        admission: Any = Admission(engine, 2)  # type: ignore[arg-type]
        answers = [asking(admission, request()) for _ in range(5)]
        assert len(engine.requests) == 2
        refused = failure_of(answers[4])
        assert isinstance(refused, QueueFull)
        assert refused.retry_after == 1
        engine.release(0)
        assert len(engine.requests) == 3
        for position in (1, 2, 3):
            engine.release(position)
        assert all(answer.called for answer in answers)

    def test_leaving_the_queue(self) -> None:
        """Who waits may leave, and makes room."""
        engine = Engine(1)
        admission: Any = Admission(engine, 1)  # type: ignore[arg-type]
        asking(admission, request())
        waiting = asking(admission, request())
        waiting.cancel()
        assert isinstance(failure_of(waiting), CancelledError)
        again = asking(admission, request())
        assert not again.called
        engine.release(0)
        assert len(engine.requests) == 2

    def test_cancelling_after_waiting(self) -> None:
        """Who was let through from the queue is cancelled like any other."""
        engine = Engine(1)
        admission: Any = Admission(engine, 1)  # type: ignore[arg-type]
        asking(admission, request())
        waiting = asking(admission, request())
        engine.release(0)
        waiting.cancel()
        assert engine.cancelled == 1
        assert isinstance(failure_of(waiting), CancelledError)

    def test_failures_make_room(self) -> None:
        """A failure frees its place like an answer."""
        engine = Engine(1)
        admission: Any = Admission(engine, 1)  # type: ignore[arg-type]
        first, second = asking(admission, request()), asking(admission, request())
        engine.fail(NotFound("x"))
        assert isinstance(failure_of(first), NotFound)
        engine.release(1)
        assert second.called

    def test_when_to_come_again(self) -> None:
        """Once it is known how fast calls end, who is refused is told when those that wait will have been answered."""
        engine, clock = Engine(1), Clock()
        admission: Any = Admission(engine, 20, clock.seconds)  # type: ignore[arg-type]
        for _ in range(21):
            asking(admission, request())
        for number in range(10):
            clock.advance(0.5)
            engine.release(number)
            asking(admission, request())
        refused = failure_of(asking(admission, request()))
        assert isinstance(refused, QueueFull)
        assert refused.retry_after == pytest.approx(20 * 0.5, rel=0.2)

    def test_no_time_to_wait(self) -> None:
        """Who could not be answered in time is told at once, so that those who can are."""
        engine, clock = Engine(1), Clock()
        admission: Any = Admission(engine, 100, clock.seconds)  # type: ignore[arg-type]
        for _ in range(31):
            asking(admission, request())
        for number in range(10):
            clock.advance(0.5)
            engine.release(number)
        refused = failure_of(asking(admission, request(deadline=clock.seconds() + 8)))
        assert isinstance(refused, QueueFull)
        assert refused.detail == "20 requests wait for executor 'e', longer than this one has time: about 11 s"
        for deadline in (clock.seconds() + 14, None):
            assert not asking(admission, request(deadline=deadline)).called
        engine.window = 0  # while it restarts nobody knows
        assert not asking(admission, request(deadline=clock.seconds() + 1)).called

    def test_other_work_before(self) -> None:
        """How slow an executor was with other work refuses nobody."""
        engine, clock = Engine(1), Clock()
        admission: Any = Admission(engine, 100, clock.seconds)  # type: ignore[arg-type]

        def burst(calls: int, seconds: float, deadline: float | None) -> list[Deferred[Any]]:
            done = len(engine.held)
            answers = [
                asking(admission, request(deadline=deadline and clock.seconds() + deadline)) for _ in range(calls)
            ]
            for number in range(done, done + calls):
                clock.advance(seconds)
                engine.release(number)
            return answers

        burst(20, 1, None)
        for _ in range(3):
            clock.advance(1)
            assert all(answer.called for answer in burst(40, 0.005, 2))

    def test_twice_the_load(self) -> None:
        """At twice the rate that an executor takes, those that are let in are answered in time, at its full rate."""
        engine, clock = Engine(1), Clock()
        admission: Any = Admission(engine, 1000, clock.seconds)  # type: ignore[arg-type]
        served, late, refused, ends = [0], [0], [0], [0.0]

        def came(outcome: Any, deadline: float) -> None:
            if isinstance(outcome, Failure):
                refused[0] += 1
            else:
                (served if clock.seconds() <= deadline else late)[0] += 1

        for _ in range(2000):  # one each 5 ms; the executor takes 10 ms
            deadline = clock.seconds() + 0.5
            asking(admission, request(deadline=deadline)).addBoth(came, deadline)
            clock.advance(0.005)
            if clock.seconds() >= ends[0] and (open_ := [n for n, each in enumerate(engine.held) if not each.called]):
                engine.release(open_[0])
                ends[0] = clock.seconds() + 0.01 - 1e-9
        assert served[0] > 900
        assert late[0] < 30
        assert served[0] + late[0] + refused[0] + len(admission.waiting) in (1999, 2000)

    @given(st.integers(1, 3), st.integers(0, 3), st.lists(st.tuples(st.sampled_from("dcrf"), st.integers(0, 30))))
    def test_never_too_many(self, window: int, most: int, steps: list[tuple[str, int]]) -> None:
        """Whatever happens, the window holds, the queue holds, and nobody is forgotten."""
        engine = Engine(window)
        admission: Any = Admission(engine, most)  # type: ignore[arg-type]
        answers: list[Deferred[Any]] = []
        for step, number in steps:
            open_ = [n for n, each in enumerate(engine.held) if not each.called]
            if step == "d":
                answers.append(asking(admission, request()).addErrback(lambda failure: None))
            elif step == "c" and answers:
                answers[number % len(answers)].cancel()
            elif open_ and step == "r":
                engine.release(open_[number % len(open_)])
            elif open_:
                engine.fail(NotFound(""), open_[number % len(open_)])
            under_way = sum(not each.called for each in engine.held)
            assert under_way <= window
            assert len(admission.waiting) <= most
            assert not admission.waiting or under_way == window
        while any(not each.called for each in engine.held):
            engine.release(next(n for n, each in enumerate(engine.held) if not each.called))
        assert all(answer.called for answer in answers)


class TestDeadline:
    def test_in_time(self) -> None:
        """An answer in time leaves no alarm behind."""
        clock, held = Clock(), Held()
        answer: Any = asking(Deadline(held, 5, clock), request())  # type: ignore[arg-type]
        assert held.requests[0].deadline == pytest.approx(time.monotonic() + 5, abs=1)
        clock.advance(4.9)
        held.release()
        assert answer.called
        assert clock.getDelayedCalls() == []

    def test_too_late(self) -> None:
        """At its deadline, and not before, a request fails, and its work is cancelled."""
        clock, held = Clock(), Held()
        answer: Any = asking(Deadline(held, None, clock), request(timeout=2.0))  # type: ignore[arg-type]
        clock.advance(1.9)
        assert not answer.called
        clock.advance(0.2)
        assert isinstance(failure_of(answer), DeadlineExceeded)
        assert held.cancelled == 1

    def test_own_timeout_wins(self) -> None:
        """The request's own timeout wins over the flow's; without either there is none."""
        clock, held = Clock(), Held()
        asking(Deadline(held, 1, clock), request(timeout=9.0))  # type: ignore[arg-type]
        asking(Deadline(held, None, clock), request())  # type: ignore[arg-type]
        assert [call.getTime() for call in clock.getDelayedCalls()] == [9]

    def test_cancelled_by_its_caller(self) -> None:
        """That is no deadline."""
        clock, held = Clock(), Held()
        answer: Any = asking(Deadline(held, 5, clock), request())  # type: ignore[arg-type]
        answer.cancel()
        assert isinstance(failure_of(answer), CancelledError)
        assert clock.getDelayedCalls() == []
