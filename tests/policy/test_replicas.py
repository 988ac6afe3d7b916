"""Replicas: the least busy gets a call; those that do not serve get none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.policy.replica_engines import Engine
from tests.support import request, result_of
from twisted_flow.errors import QueueFull, Unavailable
from twisted_flow.interfaces import IEngine
from twisted_flow.policy.admission import Admission
from twisted_flow.policy.replicas import Replicas


def replicas(*engines: Engine) -> Replicas:
    made = Replicas(engines)
    assert verifyObject(IEngine, made)
    return made


class TestReplicas:
    def test_least_busy(self) -> None:
        """A call goes to the one with the fewest under way; of several alike each has its turn."""
        engines = [Engine(), Engine(), Engine()]
        many = replicas(*engines)
        for _ in range(3):
            many.dispatch(request())
        assert [len(engine.held) for engine in engines] == [1, 1, 1]
        engines[1].release()
        many.dispatch(request())
        assert [len(engine.held) for engine in engines] == [1, 2, 1]

    def test_turns(self) -> None:
        """Calls that do not meet go around."""
        engines = [Engine(), Engine(), Engine()]
        many = replicas(*engines)
        for _ in range(6):
            many.dispatch(request())
            for engine in engines:
                for position, answer in enumerate(engine.held):
                    if not answer.called:
                        engine.release(position)
        assert [len(engine.held) for engine in engines] == [2, 2, 2]

    def test_health(self) -> None:
        """The set is ready while one is; those that do not serve get nothing, and unhealthy ones only what is left."""
        engines = [Engine(health="restarting", window=0), Engine(health="unhealthy"), Engine()]
        many = replicas(*engines)
        assert (many.health, many.window) == ("ready", 4)
        many.dispatch(request())
        many.dispatch(request())
        assert [len(engine.held) for engine in engines] == [0, 0, 2]
        engines[2].become("failed", 2)
        assert (many.health, many.window) == ("unhealthy", 2)
        many.dispatch(request())
        assert len(engines[1].held) == 1
        engines[1].become("failed", 2)
        assert (many.health, many.window) == ("restarting", 0)
        engines[0].become("failed", 1)
        assert (many.health, many.window) == ("failed", 1)
        with pytest.raises(Unavailable):
            many.dispatch(request())

    def test_all_together(self) -> None:
        """They start, are asked and stop at once; a generation ends with that of any."""
        engines = [Engine(), Engine()]
        many, seen = replicas(*engines), []
        many.watch(lambda: seen.append(1))
        for done in (many.start(), many.check(5, None), many.stop()):
            assert result_of(done) is None
        assert [engine.done for engine in engines] == [["start", "check", "stop"]] * 2
        engines[1].become("unhealthy", 1)
        assert seen == [1]

    def test_one_that_cannot_start(self) -> None:
        """The start of the set fails as that one's did, once all have ended."""

        class Cannot(Engine):
            def start(self) -> Deferred[None]:
                raise_later: Deferred[None] = Deferred()
                raise_later.errback(ValueError("no model"))
                return raise_later

        engines = [Engine(), Cannot()]
        failure = result_of(replicas(*engines).start())
        assert str(failure.value) == "no model"
        assert engines[0].done == ["start"]


class Busy(RuleBasedStateMachine):
    """Requests, answers, cancels and crashes in any order, over an admission and three replicas."""

    MOST = 5

    @initialize()
    def begin(self) -> None:
        self.engines = [Engine(window=2) for _ in range(3)]
        self.admission = Admission(Replicas(self.engines), self.MOST)
        self.asked: list[Any] = []
        self.outcomes: dict[int, list[Any]] = {}

    def live(self, engine: Engine) -> list[int]:
        return [position for position, answer in enumerate(engine.held) if not answer.called]

    @rule()
    def ask(self) -> None:
        number = len(self.asked)
        self.outcomes[number] = []
        try:
            answer: Any = self.admission.dispatch(request(request_id=str(number)))
        except (QueueFull, Unavailable) as error:
            self.outcomes[number].append(error)
            self.asked.append(None)
            return
        answer.addBoth(self.outcomes[number].append)
        self.asked.append(answer)

    @rule(which=st.integers(0, 2), position=st.integers(0, 10))
    def answer(self, which: int, position: int) -> None:
        live = self.live(self.engines[which])
        if live:
            self.engines[which].release(live[position % len(live)])

    @rule(position=st.integers(0, 50))
    def cancel(self, position: int) -> None:
        waiting = [number for number, got in self.outcomes.items() if not got]
        if waiting:
            self.asked[waiting[position % len(waiting)]].cancel()

    @rule(which=st.integers(0, 2), health=st.sampled_from(["restarting", "failed"]))
    def crash(self, which: int, health: str) -> None:
        engine = self.engines[which]
        live = self.live(engine)
        engine.become(health, 0 if health == "restarting" else 2)
        for position in live:
            engine.fail(Unavailable("crashed"), position)

    @rule(which=st.integers(0, 2), health=st.sampled_from(["ready", "unhealthy"]))
    def recover(self, which: int, health: str) -> None:
        self.engines[which].become(health, 2)

    @invariant()
    def nothing_lost_nothing_beyond(self) -> None:
        """Each has one outcome at most; no engine has more than its window; nobody waits while there is room."""
        if not hasattr(self, "engines"):
            return
        assert all(len(got) <= 1 for got in self.outcomes.values())
        for engine in self.engines:
            assert len(self.live(engine)) <= max(engine.window, 2)
        assert len(self.admission.waiting) <= self.MOST
        under_way = sum(len(self.live(engine)) for engine in self.engines)
        unanswered = sum(not got for got in self.outcomes.values())
        assert unanswered == under_way + len(self.admission.waiting)
        room = sum(2 - len(self.live(each)) for each in self.engines if each.health in ("ready", "unhealthy"))
        if self.admission.waiting:
            assert room <= 0

    def teardown(self) -> None:
        """When all is well again, everything is answered."""
        if not hasattr(self, "engines"):
            return
        for engine in self.engines:
            engine.become("ready", 2)
        for _ in range(100):
            for engine in self.engines:
                for position in self.live(engine):
                    engine.release(position)
        assert all(len(got) == 1 for got in self.outcomes.values())
        assert not self.admission.waiting


TestBusy = Busy.TestCase
TestBusy.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
