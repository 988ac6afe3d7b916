"""Requests that share calls, over a clock of our own."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.policy.replica_engines import Engine
from tests.support import asking, request, result_of
from twisted_flow import Document, DocumentArray
from twisted_flow.errors import ExecutorError, NotFound, PayloadTooLarge, Unavailable
from twisted_flow.executor.batching import Batching
from twisted_flow.executor.table import Endpoint
from twisted_flow.interfaces import IEngine
from twisted_flow.message import Response
from twisted_flow.policy.admission import Admission
from twisted_flow.policy.batch import Batch

FOUR = {"/default": Batching(4, 10)}


def endpoint(name: str = "/default", idempotent: bool = False) -> Endpoint:
    return Endpoint(name, "encode", ("docs",), blocking=True, idempotent=idempotent)


def batch(window: int = 16, copies: int | None = 1, batchings: Any = None, **marks: Any) -> tuple[Any, Any, Clock]:
    """A batcher of four documents and 10 ms, its engine, and its clock."""
    engine, clock = Engine(window), Clock()
    engine.endpoints = {"/default": endpoint(**marks), "/single": endpoint("/single")}
    return Batch(engine, batchings or FOUR, clock, copies), engine, clock  # type: ignore[arg-type]


def texts(call: Any) -> list[str | None]:
    return [document.text for document in call.docs]


def ask(batcher: Any, *words: str, **fields: Any) -> Any:
    return asking(batcher, request(*map(Document, words), **fields))


class TestSizeAndAge:
    def test_interface(self) -> None:
        """It is an engine."""
        assert verifyObject(IEngine, batch()[0])

    def test_size(self) -> None:
        """A call goes when it is full, and each request gets its own documents back, changed in place."""
        batcher, engine, _ = batch()
        answers = [ask(batcher, "a"), ask(batcher, "b", "c"), ask(batcher, "d")]
        assert [texts(call) for call in engine.requests] == [["a", "b", "c", "d"]]
        for document in engine.requests[0].docs:
            document.text += "!"
        engine.release()
        responses = [result_of(answer) for answer in answers]
        assert [texts(response) for response in responses] == [["a!"], ["b!", "c!"], ["d!"]]
        assert all(response.in_place for response in responses)
        assert {response.request_id for response in responses} == {"r1"}

    def test_age(self) -> None:
        """A call goes when its first request has waited long enough; one alone keeps its id."""
        batcher, engine, clock = batch()
        ask(batcher, "a", request_id="mine")
        clock.advance(0.009)
        assert engine.requests == []
        clock.advance(0.002)
        assert [texts(call) for call in engine.requests] == [["a"]]
        assert engine.requests[0].request_id == "mine"

    def test_never_too_many(self) -> None:
        """What does not fit goes into the next call; the one before is closed."""
        batcher, engine, clock = batch()
        ask(batcher, "a", "b", "c")
        ask(batcher, "d", "e")
        assert [texts(call) for call in engine.requests] == [["a", "b", "c"]]
        engine.release()
        clock.advance(1)
        assert [texts(call) for call in engine.requests[1:]] == [["d", "e"]]

    def test_split(self) -> None:
        """A request with more documents is split; the last part shares its call; the answer is whole, in its order."""
        batcher, engine, _ = batch(copies=None)
        large = ask(batcher, *"abcdef")
        small = ask(batcher, *"gh")
        assert [texts(call) for call in engine.requests] == [list("abcd"), list("efgh")]
        for call in (1, 0):
            assert not large.called
            engine.held[call].callback(upper(engine.requests[call]))
        whole = result_of(large)
        assert texts(whole) == list("ABCDEF")
        assert not whole.in_place
        assert texts(result_of(small)) == list("GH")

    def test_no_documents(self) -> None:
        """Requests without documents are called as well, as many together as documents would be."""
        batcher, engine, _ = batch()
        answers = [ask(batcher) for _ in range(4)]
        assert [len(call.docs) for call in engine.requests] == [0]
        engine.release()
        assert [result_of(answer).docs for answer in answers] == [[]] * 4

    def test_while_busy(self) -> None:
        """While a copy is at work, what is old enough goes on growing; full ones are handed over, one for each copy."""
        batcher, engine, clock = batch()
        for word in "abcd":
            ask(batcher, word)
        ask(batcher, "e")
        clock.advance(1)
        ask(batcher, "f")
        assert [texts(call) for call in engine.requests] == [list("abcd")]
        ask(batcher, "g")
        ask(batcher, "h")
        assert [texts(call) for call in engine.requests[1:]] == [list("efgh")]
        for word in "ijkl":
            ask(batcher, word)
        assert len(engine.requests) == 2
        engine.release(0)
        assert [texts(call) for call in engine.requests[2:]] == [list("ijkl")]

    def test_the_old_are_not_overtaken_for_ever(self) -> None:
        """A few requests of a rare kind come to their turn though others fill calls all the time."""
        batcher, engine, clock = batch()
        for word in "abcd":
            ask(batcher, word)
        ask(batcher, "rare", parameters={"top": 1})
        clock.advance(1)
        for word in "efgh":
            ask(batcher, word)
        assert [texts(call) for call in engine.requests] == [list("abcd"), ["rare"]]

    def test_others(self) -> None:
        """An endpoint that shares no calls, and one that there is not, goes by."""
        batcher, engine, _ = batch()
        ask(batcher, "a", endpoint="/single")
        assert [texts(call) for call in engine.requests] == [["a"]]
        batcher, engine, _ = batch()
        batcher.endpoints = {"/single": endpoint("/single")}
        ask(batcher, "a", endpoint="/nothing")
        assert [texts(call) for call in engine.requests] == [["a"]]


def upper(call: Any) -> Response:
    """What a method that makes new documents returns."""
    docs = DocumentArray(Document(text=document.text.upper(), id=document.id) for document in call.docs)
    return Response(call, docs, call.groundtruths, [])


class TestKinds:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"parameters": {"a": 1}}, {"parameters": {"a": True}}),
            ({"parameters": {"a": 1}}, {"parameters": {"a": 1.0}}),
            ({"parameters": {"a": 1}}, {}),
            ({"principal": "x"}, {"principal": "y"}),
            ({"principal": "x"}, {}),
            ({"endpoint": "/x"}, {"endpoint": "/y"}),
        ],
    )
    def test_apart(self, one: Any, other: Any) -> None:
        """Only requests of one endpoint, one principal and equal parameters share a call."""
        batcher, engine, clock = batch(copies=None)
        ask(batcher, "a", **one)
        ask(batcher, "b", **other)
        clock.advance(1)
        assert [texts(call) for call in engine.requests] == [["a"], ["b"]]
        for name, value in one.items():
            sent = engine.requests[0]
            assert (sent.header.exec_endpoint if name == "endpoint" else getattr(sent, name)) == value

    def test_together(self) -> None:
        """The order of keys does not matter."""
        batcher, engine, clock = batch()
        ask(batcher, "a", parameters={"a": 1, "b": [1, {"c": None}]})
        ask(batcher, "b", parameters={"b": [1, {"c": None}], "a": 1})
        clock.advance(1)
        assert [texts(call) for call in engine.requests] == [["a", "b"]]

    def test_groundtruths(self) -> None:
        """They stay with their documents; requests without any do not share calls with those that have some."""
        batcher, engine, clock = batch(copies=None)
        with_truths = [
            ask(batcher, word, groundtruths=DocumentArray([Document(f"true {word}")])) for word in ("a", "b")
        ]
        ask(batcher, "c")
        ask(batcher, "d", groundtruths=DocumentArray([Document(), Document()]))
        many = ask(batcher, *"abcde", groundtruths=DocumentArray(map(Document, "uvwxyz")))
        clock.advance(1)
        assert [len(call.groundtruths) for call in engine.requests] == [4, 2, 0, 2, 2]
        engine.release(0)
        engine.release(4)
        assert texts_of(result_of(many).groundtruths) == list("uvwxyz")
        engine.release(1)
        assert [texts_of(result_of(each).groundtruths) for each in with_truths] == [["true a"], ["true b"]]

    def test_parameters_that_a_method_changes(self) -> None:
        """Each request's are its own, and as the method left them."""
        batcher, engine, clock = batch()
        given: list[dict[str, Any]] = [{"a": [1]}, {"a": [1]}]
        answers = [ask(batcher, "x", parameters=each) for each in given]
        clock.advance(1)
        engine.requests[0].parameters["a"].append(2)
        engine.release()
        found = [result_of(each).parameters for each in answers]
        assert found == [{"a": [1, 2]}] * 2
        assert found[0]["a"] is not found[1]["a"]

    def test_latest_deadline(self) -> None:
        """A call has the time of its latest member."""
        for deadlines, latest in (((5.0, 9.0), 9.0), ((5.0, None), None)):
            batcher, engine, clock = batch()
            for deadline in deadlines:
                ask(batcher, "x", deadline=deadline)
            clock.advance(1)
            assert engine.requests[0].deadline == latest


def texts_of(docs: Any) -> list[str]:
    return [document.text for document in docs]


class TestAnswers:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda docs: docs.pop(), "returned 1 documents for 2"),
            (lambda docs: docs.append(Document()), "returned 3 documents for 2"),
            (lambda docs: docs.reverse(), "returned its documents in another order"),
        ],
    )
    def test_reordering_and_dropping(self, change: Any, told: str) -> None:
        """A method that drops, adds or reorders is told so by name, and nobody gets the documents of another."""
        batcher, engine, clock = batch()
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        change(engine.requests[0].docs)
        engine.release()
        for answer in answers:
            error = result_of(answer).value
            assert isinstance(error, ExecutorError)
            assert error.detail.startswith(f"executor 'e': the batched method 'encode' {told}: it returns as many as")
            assert error.executor == "e"

    def test_new_documents(self) -> None:
        """New documents are told apart by nothing but their position; those with known ids have to keep theirs."""
        batcher, engine, clock = batch()
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        fresh = DocumentArray([Document("1"), Document("2")])
        engine.held[0].callback(Response(engine.requests[0], fresh, DocumentArray(), []))
        assert [texts(result_of(each)) for each in answers] == [["1"], ["2"]]
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        swapped = DocumentArray(Document(id=each.id) for each in reversed(engine.requests[1].docs))
        engine.held[1].callback(Response(engine.requests[1], swapped, DocumentArray(), []))
        assert all("another order" in result_of(each).value.detail for each in answers)

    def test_failure(self) -> None:
        """Where a call fails all its members do, each by an error of its own with the same cause behind it."""
        batcher, engine, clock = batch()
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        try:
            raise KeyError("x")
        except KeyError as raised:
            error = ExecutorError("no")
            error.__cause__ = raised
        engine.fail(error)
        errors = [result_of(each).value for each in answers]
        assert [each.detail for each in errors] == ["no", "no"]
        assert errors[0] is not errors[1]
        assert [type(each.__cause__) for each in errors] == [KeyError, KeyError]
        errors[0].__cause__.__traceback__ = None
        assert errors[1].__cause__.__traceback__ is not None
        assert errors[0].routes is not errors[1].routes

    def test_not_open(self) -> None:
        """An engine that takes no calls fails the members; the batcher lives on."""
        batcher, engine, clock = batch()
        engine.health = "stopped"
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        assert all(isinstance(result_of(each).value, Unavailable) for each in answers)
        engine.health = "ready"
        again = [ask(batcher, word) for word in "abcd"]
        engine.release()
        assert [texts(result_of(each)) for each in again] == [["a"], ["b"], ["c"], ["d"]]

    def test_idempotent(self) -> None:
        """Where the method may be called again, each member of a call that failed is called alone, as it was."""
        batcher, engine, clock = batch(copies=None, idempotent=True)
        answers = [ask(batcher, word) for word in ("a", "b", "c")]
        ask(batcher, "later")
        clock.advance(1)
        engine.requests[0].docs[0].text = "spoilt"
        engine.fail(ExecutorError("no"))
        assert [texts(call) for call in engine.requests[1:]] == [["a"], ["b"], ["c"], ["later"]]
        engine.fail(NotFound("b"), 2)
        engine.release(1)
        engine.release(3)
        assert texts(result_of(answers[0])) == ["a"]
        assert isinstance(result_of(answers[1]).value, NotFound)
        assert texts(result_of(answers[2])) == ["c"]

    def test_crash(self) -> None:
        """After a crash each is called alone, one after another: the one that ends the process takes no other along."""
        batcher, engine, clock = batch(idempotent=True)
        answers = [ask(batcher, word) for word in ("a", "b", "c")]
        clock.advance(1)
        engine.fail(crash(), 0)
        assert [texts(call) for call in engine.requests[1:]] == [["a"]]
        engine.release(1)
        engine.fail(crash(), 2)
        engine.release(3)
        assert [texts(call) for call in engine.requests[1:]] == [["a"], ["b"], ["c"]]
        outcomes = [result_of(each) for each in answers]
        assert [isinstance(each, Response) for each in outcomes] == [True, False, True]

    def test_not_begun(self) -> None:
        """What could not even be sent together is sent alone, whether or not it may be called again."""
        batcher, engine, clock = batch(copies=None)
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        engine.fail(PayloadTooLarge.of(9, 8))
        assert [texts(call) for call in engine.requests[1:]] == [["a"], ["b"]]
        engine.fail(PayloadTooLarge.of(9, 8), 1)
        engine.release(2)
        assert isinstance(result_of(answers[0]).value, PayloadTooLarge)
        assert texts(result_of(answers[1])) == ["b"]

    def test_what_cannot_be_copied(self) -> None:
        """Parameters that an executor has put something strange into are handed on as they are; nobody hangs."""
        lock = threading.Lock()
        batcher, engine, clock = batch(copies=None)
        answers = [ask(batcher, word, parameters={"k": 1}) for word in ("a", "b")]
        clock.advance(1)
        engine.requests[0].parameters["x"] = lock
        engine.release()
        assert [result_of(each).parameters for each in answers] == [{"k": 1, "x": lock}] * 2
        split = ask(batcher, *"abcdef", parameters={"x": lock})
        clock.advance(1)
        engine.release(1)
        engine.release(2)
        assert texts(result_of(split)) == list("abcdef")

    def test_an_answer_that_makes_no_sense(self) -> None:
        """Whatever goes wrong in dividing it, all members are told."""
        batcher, engine, clock = batch()
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        odd: Any = [5, 6]
        engine.held[0].callback(Response(engine.requests[0], odd, DocumentArray(), []))
        assert [type(result_of(each).value) for each in answers] == [ExecutorError] * 2


class TestCancelling:
    def test_before_it_goes(self) -> None:
        """Who leaves takes only its own documents along; where nobody is left there is no call, and no alarm."""
        batcher, engine, clock = batch()
        first, second = ask(batcher, "a"), ask(batcher, "b")
        first.cancel()
        assert isinstance(result_of(first).value, CancelledError)
        clock.advance(0.02)
        assert [texts(call) for call in engine.requests] == [["b"]]
        third = ask(batcher, "c")
        third.cancel()
        result_of(third)
        assert clock.getDelayedCalls() == []
        assert not second.called

    def test_under_way(self) -> None:
        """The others get their answers; when the last has left the call is cancelled."""
        batcher, engine, clock = batch()
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        answers[0].cancel()
        result_of(answers[0])
        assert engine.cancelled == 0
        engine.release()
        assert texts(result_of(answers[1])) == ["b"]
        answers = [ask(batcher, word) for word in ("a", "b")]
        clock.advance(1)
        for answer in answers:
            answer.cancel()
            result_of(answer)
        assert engine.cancelled == 1

    def test_while_another_is_told(self) -> None:
        """An answer that has its caller give up another request of the same call does no harm to the rest."""
        batcher, engine, clock = batch()
        answers = [ask(batcher, word) for word in ("a", "b", "c")]
        answers[0].addCallback(lambda response: answers[1].cancel())
        clock.advance(1)
        engine.release()
        assert isinstance(result_of(answers[1]).value, CancelledError)
        assert texts(result_of(answers[2])) == ["c"]

    def test_of_a_split_one(self) -> None:
        """All its parts leave; a part that fails takes the others along."""
        for how in ("cancel", "fail"):
            batcher, engine, _ = batch(copies=None)
            large = ask(batcher, *"abcdefghij")
            other = ask(batcher, "x")
            if how == "cancel":
                large.cancel()
            else:
                engine.fail(ExecutorError("no"), 0)
            result_of(large)
            assert engine.cancelled == (2 if how == "cancel" else 1)
            assert [texts(call) for call in engine.requests] == [list("abcd"), list("efgh")]
            other.cancel()
            result_of(other)


class TestBehindAdmission:
    def test_window(self) -> None:
        """As many requests are let through as fill the calls of the engine; the rest waits in the one queue."""
        batcher, engine, _ = batch(window=16, copies=2)
        assert batcher.window == 2 * 2 * 4
        assert batch(window=16, copies=None)[0].window == 16 * 4
        admission: Any = Admission(batcher, 100)
        answers = [ask(admission, str(number)) for number in range(30)]
        assert len(engine.requests) == 4
        assert len(admission.waiting) == 30 - 16
        while any(not each.called for each in engine.held):
            engine.release(next(n for n, each in enumerate(engine.held) if not each.called))
        assert sum(each.called for each in answers) == 28

    def test_described(self) -> None:
        """How large calls are is told."""
        batcher, engine, clock = batch()
        for word in "abcdef":
            ask(batcher, word)
        assert batcher.describe()["batches"] == {"calls": 1, "documents": 4, "waiting": 2}
        engine.release()
        clock.advance(1)
        assert batcher.describe()["batches"] == {"calls": 2, "documents": 6, "waiting": 0}


def crash() -> Unavailable:
    error = Unavailable("crashed")
    error.crashed = True
    return error


SIZE, COPIES = 4, 2


class Batcher(RuleBasedStateMachine):
    """Whatever happens: no bound is exceeded, nothing is lost, answered twice or mixed up, and nothing is left."""

    @initialize(idempotent=st.booleans(), blocking=st.booleans(), window=st.integers(1, 6))
    def begin(self, idempotent: bool, blocking: bool, window: int) -> None:
        self.idempotent, self.blocking = idempotent, blocking
        self.batcher, self.engine, self.clock = batch(
            window, COPIES if blocking else None, {"/default": Batching(SIZE, 10)}, idempotent=idempotent
        )
        self.asked: list[tuple[Deferred[Any], list[str], Any]] = []
        self.outcomes: dict[int, Any] = {}
        self.cancelled: set[int] = set()
        self.number = 0
        self.seen = 0

    def under_way(self) -> list[int]:
        return [n for n, each in enumerate(self.engine.held) if not each.called]

    @rule(documents=st.integers(0, 9), parameters=st.sampled_from([{}, {"a": 1}, {"a": True}]))
    def ask(self, documents: int, parameters: Any) -> None:
        position = len(self.asked)
        words = [f"{position}.{n}" for n in range(documents)]
        answer = ask(self.batcher, *words, parameters=dict(parameters), deadline=time.monotonic() + position)
        self.asked.append((answer, words, parameters))
        answer.addBoth(self.take, position)

    def take(self, outcome: Any, position: int) -> None:
        assert position not in self.outcomes, "answered twice"
        self.outcomes[position] = outcome
        if not isinstance(outcome, Failure):
            assert texts(outcome) == self.asked[position][1]

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        position = data.draw(st.integers(0, len(self.asked) - 1))
        self.cancelled.add(position)
        self.asked[position][0].cancel()
        assert position in self.outcomes

    @precondition(lambda self: self.under_way())
    @rule(data=st.data(), how=st.sampled_from(["answer", "new", "fail", "crash", "drop", "swap"]))
    def end(self, data: Any, how: str) -> None:
        number = data.draw(st.sampled_from(self.under_way()))
        call = self.engine.requests[number]
        if how == "fail":
            self.engine.fail(ExecutorError("no"), number)
        elif how == "crash":
            self.engine.fail(crash(), number)
        elif how == "new":
            docs = DocumentArray(Document(text=each.text, id=each.id) for each in call.docs)
            self.engine.held[number].callback(Response(call, docs, call.groundtruths, []))
        else:
            if how == "drop" and call.docs:
                call.docs.pop()
            elif how == "swap":
                call.docs.reverse()
            self.engine.release(number)

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.01, 0.1]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(window=st.integers(0, 6))
    def change_window(self, window: int) -> None:
        self.engine.become("ready" if window else "restarting", window)

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "engine"):
            return
        for call in self.engine.requests[self.seen :]:
            assert len(call.docs) <= SIZE
            positions = [int(word.partition(".")[0]) for word in texts(call)]
            assert all(repr(self.asked[position][2]) == repr(call.parameters) for position in positions)
        self.seen = len(self.engine.requests)
        if self.blocking:
            assert len(self.under_way()) <= 2 * COPIES

    @invariant()
    def nothing_is_in_two_calls(self) -> None:
        if hasattr(self, "engine"):
            words = [word for number in self.under_way() for word in texts(self.engine.requests[number])]
            assert len(words) == len(set(words))

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.engine.become("ready", 6)
        for _ in range(10 * len(self.asked) + 20):
            self.clock.advance(1)
            for number in self.under_way():
                self.engine.release(number)
        assert sorted(self.outcomes) == list(range(len(self.asked)))
        assert self.clock.getDelayedCalls() == []
        left = self.batcher._open, self.batcher._full, self.batcher._due, self.batcher._under_way
        assert not any(left)
        assert self.batcher.describe()["batches"]["waiting"] == 0


TestBatcher = Batcher.TestCase
TestBatcher.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
