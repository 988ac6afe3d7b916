"""Admission, with a batcher and retries or without, over time: whatever happens, in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.policy.replica_engines import Engine
from tests.support import asking, request
from twisted_flow import Document
from twisted_flow.errors import ExecutorError, QueueFull, Unavailable
from twisted_flow.executor.batching import Batching
from twisted_flow.executor.table import Endpoint
from twisted_flow.policy.admission import Admission
from twisted_flow.policy.batch import Batch
from twisted_flow.policy.replicas import Replicas
from twisted_flow.policy.retry import Retry

MOST, WINDOW, SIZE, RETRIES = 5, 3, 2, 2
ENDPOINTS = {"/default": Endpoint("/default", "f", ("docs",), blocking=True, idempotent=True)}


class Chain(RuleBasedStateMachine):
    """``Retry(Admit(Batch(Replicas(engines))))``, or less: nothing is lost, nothing answered twice, no bound exceeded,
    nothing left when idle.
    """

    @initialize(batched=st.booleans(), retried=st.booleans(), copies=st.integers(1, 2))
    def begin(self, batched: bool, retried: bool, copies: int) -> None:
        self.clock = Clock()
        self.engines = [Engine(WINDOW) for _ in range(copies)]
        for engine in self.engines:
            engine.endpoints = ENDPOINTS
        inner: Any = Replicas(self.engines)
        if batched:
            inner = Batch(inner, {"/default": Batching(SIZE, 10)}, self.clock, copies)  # type: ignore[arg-type]
        self.inner, self.batched, self.retried = inner, batched, retried
        self.admission: Any = Admission(inner, MOST, self.clock.seconds)
        self.top: Any = self.admission
        if retried:
            self.top = Retry(self.top, ENDPOINTS, RETRIES, self.clock, lambda: 0.5, self.clock.seconds)  # type: ignore[arg-type]
        self.asked: list[Deferred[Any]] = []
        self.outcomes: dict[int, Any] = {}
        self.attempts: dict[str, int] = {}

    def take(self, outcome: Any, position: int) -> None:
        assert position not in self.outcomes, "answered twice"
        self.outcomes[position] = outcome
        if not isinstance(outcome, Failure):
            assert [document.text for document in outcome.docs] == [str(position)]

    def under_way(self) -> list[tuple[Engine, int]]:
        return [(engine, n) for engine in self.engines for n, each in enumerate(engine.held) if not each.called]

    @rule(seconds=st.sampled_from([None, 0.5, 3.0]))
    def ask(self, seconds: float | None) -> None:
        position = len(self.asked)
        waiting, window = len(self.admission.waiting), self.inner.window
        deadline = None if seconds is None else self.clock.seconds() + seconds
        answer = asking(self.top, request(Document(str(position)), request_id=str(position), deadline=deadline))
        self.asked.append(answer)
        answer.addBoth(self.take, position)
        refused = self.outcomes.get(position)
        if isinstance(refused, Failure) and refused.check(QueueFull):
            assert waiting == MOST or (seconds is not None and waiting and window)
            assert 0.1 <= refused.value.retry_after <= 60

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        position = data.draw(st.integers(0, len(self.asked) - 1))
        self.asked[position].cancel()
        assert position in self.outcomes

    @precondition(lambda self: self.under_way())
    @rule(data=st.data(), how=st.sampled_from(["answer", "fail", "crash"]))
    def end(self, data: Any, how: str) -> None:
        engine, number = data.draw(st.sampled_from(self.under_way()))
        if how == "answer":
            engine.release(number)
        else:
            error = ExecutorError("no") if how == "fail" else Unavailable("crash")
            error.crashed = how == "crash"
            engine.fail(error, number)

    @rule(data=st.data(), health=st.sampled_from(["ready", "restarting"]))
    def change(self, data: Any, health: str) -> None:
        data.draw(st.sampled_from(self.engines)).become(health, WINDOW if health == "ready" else 0)

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.2, 5.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "engines"):
            return
        assert len(self.admission.waiting) <= MOST
        for engine in self.engines:
            assert len([n for each, n in self.under_way() if each is engine]) <= WINDOW + 2 * self.batched
            for call in engine.requests:
                assert len(call.docs) <= (SIZE if self.batched else 1)
        if self.admission.waiting and self.inner.window:
            assert self.admission._under_way >= self.inner.window

    def teardown(self) -> None:
        if not hasattr(self, "engines"):
            return
        for engine in self.engines:
            engine.become("ready", WINDOW)
        for _ in range(6 * len(self.asked) + 20):
            self.clock.advance(6)
            for engine, number in self.under_way():
                if not engine.held[number].called:
                    engine.release(number)
        assert sorted(self.outcomes) == list(range(len(self.asked)))
        assert self.clock.getDelayedCalls() == []
        assert not self.admission.waiting
        assert self.admission._under_way == 0
        attempts = [
            word for engine in self.engines for call in engine.requests for word in (each.text for each in call.docs)
        ]
        most = (1 + RETRIES * self.retried) * (1 + self.batched)  # each alone, where a batch has failed
        assert all(attempts.count(str(position)) <= most for position in range(len(self.asked)))


TestChain = Chain.TestCase
TestChain.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
