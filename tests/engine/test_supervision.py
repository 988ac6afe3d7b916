"""A process engine over children that do what a test says: in any order nothing is lost, and nothing is left."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.task import Clock

from tests.support import request
from twisted_flow import Document
from twisted_flow.engine.process import ProcessEngine
from twisted_flow.engine.restarts import Restarts
from twisted_flow.errors import FlowError, QueueFull, Unavailable
from twisted_flow.executor.address import Address
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.executor.table import Endpoint
from twisted_flow.message import Response
from twisted_flow.policy.admission import Admission
from twisted_flow.wire.frames import FrameReader, frame
from twisted_flow.worker.messages import CALL, CANCEL, COMMAND, DONE, RAISED, read_call, write_answer
from twisted_flow.worker.raised import pickled

ENDPOINTS = {"/default": Endpoint("/default", "f", ("docs",), blocking=True)}
KILL_AFTER = 10.0


class FakeChild:
    """A child in memory. It does nothing by itself."""

    pid = 1

    def __init__(self, command: Any, environment: Any, take: Any, line: Any, gone: Any, ended: Any) -> None:
        self.take, self.line, self.gone, self.ended = take, line, gone, ended
        self.is_over = self.is_lost = self.closed = False
        self.calls: dict[int, Any] = {}
        self.commands: list[tuple[int, bytes]] = []
        self.reader = FrameReader(self.read)

    def write(self, pieces: list[Any]) -> None:
        for piece in pieces:
            self.reader.feed(piece)

    def read(self, kind: int, number: int, body: memoryview, arrays: list[memoryview]) -> None:
        if kind == CALL:
            self.calls[number], _ = read_call(body, arrays)
        elif kind == COMMAND:
            self.commands.append((number, bytes(body).partition(b" ")[0]))
        else:
            assert kind == CANCEL

    def send(self, pieces: list[Any]) -> None:
        reader = FrameReader(self.take)
        for piece in pieces:
            reader.feed(piece)

    def answer(self, number: int) -> None:
        asked = self.calls.pop(number)
        self.send(write_answer(number, Response(asked, asked.docs, asked.groundtruths, [])))

    def do(self, well: bool = True) -> None:
        """Do the first command."""
        number, name = self.commands.pop(0)
        self.send(frame(DONE, number, b"") if well else frame(RAISED, number, pickled(ValueError("no"))))
        if name == b"close":
            self.commands.clear()

    def end(self, status: int = -9) -> None:
        if not self.is_over:
            self.is_over = self.is_lost = True
            self.gone()
            self.ended(status)

    def close(self) -> None:
        self.closed = True

    kill = end
    abandon = close


class Supervised(RuleBasedStateMachine):
    """Calls, answers, cancels, crashes, failed starts and time, in any order."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.children: list[FakeChild] = []

        def spawn(**arguments: Any) -> FakeChild:
            assert all(child.is_over for child in self.children), "two at once"
            self.children.append(FakeChild(**arguments))
            return self.children[-1]

        spec = ExecutorSpec(uses=None, name="e", max_concurrency=4, kill_after=KILL_AFTER)
        made: Any = ProcessEngine
        self.engine: ProcessEngine = made("e", ENDPOINTS, Address("m", "n"), spec, b"", spawn, self.clock)
        self.engine._restarts = Restarts(lambda: 0.5)  # the same each time
        self.admission = Admission(self.engine, 6)
        self.started: list[Any] = []
        self.engine.start().addBoth(self.started.append)
        self.child.do()
        self.child.do()
        assert self.engine.health == "ready"
        self.asked: list[Any] = []
        self.outcomes: dict[int, list[Any]] = {}

    @property
    def child(self) -> FakeChild:
        return self.children[-1]

    @rule(deadline=st.booleans())
    def ask(self, deadline: bool) -> None:
        number = len(self.asked)
        self.outcomes[number] = []
        # The deadline is over already: what is cancelled then has `KILL_AFTER` seconds of the clock to end.
        asked = request(Document(), request_id=str(number), deadline=0.0 if deadline else None)
        try:
            answer: Any = self.admission.dispatch(asked)
        except (QueueFull, Unavailable) as error:
            self.outcomes[number].append(error)
            self.asked.append(None)
            return
        answer.addBoth(self.outcomes[number].append)
        self.asked.append(answer)

    @rule(position=st.integers(0, 10))
    def answer(self, position: int) -> None:
        if self.child.calls and not self.child.is_over:
            self.child.answer(sorted(self.child.calls)[position % len(self.child.calls)])

    @rule(position=st.integers(0, 10))
    def cancel(self, position: int) -> None:
        waiting = [number for number, got in self.outcomes.items() if not got]
        if waiting:
            self.asked[waiting[position % len(waiting)]].cancel()

    @rule(status=st.sampled_from([-9, 0, 3]))
    def crash(self, status: int) -> None:
        self.child.end(status)

    @rule(well=st.booleans())
    def command(self, well: bool) -> None:
        if self.child.commands and not self.child.is_over:
            self.child.do(well)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def check(self) -> None:
        self.engine.check(5, None)
        while self.child.commands and not self.child.is_over and self.child.commands[0][1] == b"check_health":
            self.child.do()

    @invariant()
    def bounds(self) -> None:
        """One outcome each; no more in a process than its window; nobody waits while there is room."""
        if not hasattr(self, "engine"):
            return
        assert all(len(got) <= 1 for got in self.outcomes.values())
        assert sum(not child.is_over for child in self.children) <= 1
        assert len(self.admission.waiting) <= 6
        if not self.child.is_over:
            assert len(self.child.calls) <= 4 + self.engine._calls.left
            assert len(self.child.calls) == len(self.engine._calls)
        if self.admission.waiting:
            assert self.engine.window == 0 or len(self.engine._calls) >= 4
        assert self.engine.health in ("ready", "restarting", "failed")

    def teardown(self) -> None:
        """It recovers by itself, answers what waits, and stops without a rest."""
        if not hasattr(self, "engine"):
            return
        for _ in range(200):
            if self.child.is_over:
                self.clock.advance(40)
            elif self.child.commands:
                self.child.do()
            elif self.child.calls:
                self.child.answer(min(self.child.calls))
            else:
                break
        assert self.engine.health == "ready"
        assert all(len(got) == 1 for got in self.outcomes.values())
        assert not any(
            isinstance(got[0], Exception) and not isinstance(got[0], FlowError) for got in self.outcomes.values()
        )
        stopped: list[Any] = []
        self.engine.stop().addBoth(stopped.append)
        while self.child.commands:
            self.child.do()
        assert self.child.closed
        self.clock.advance(5)
        assert (stopped, self.engine.health) == ([None], "stopped")
        assert all(child.is_over for child in self.children)
        self.clock.advance(1000)
        assert not self.clock.getDelayedCalls()


TestSupervised = Supervised.TestCase
TestSupervised.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
