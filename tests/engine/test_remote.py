"""A flow that is elsewhere, as an executor: over a channel and a clock of our own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.support import Log, asking, request, result_of
from twisted_flow import Document, DocumentArray
from twisted_flow.engine.remote import RemoteEngine
from twisted_flow.errors import DeadlineExceeded, ExecutorError, FlowError, NotFound, Unavailable
from twisted_flow.executor.catalogue import ASKED, Catalogue, any_endpoint, catalogue_in, elsewhere
from twisted_flow.interfaces import IChannel, IEngine, IExchange
from twisted_flow.limits import Limits
from twisted_flow.message import Request, Response, Route, status_of
from twisted_flow.policy.replicas import Replicas

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOLD = Catalogue({"/up": elsewhere("/up", idempotent=True), "/down": elsewhere("/down")}, True, 1000, 128).told()


@implementer(IExchange)
class Exchange:
    """Sends nothing anywhere."""

    def __init__(self, channel: Channel) -> None:
        self.channel, self.over, self.max_body = channel, False, None
        self.sent: list[tuple[Request, Deferred[Response]]] = []

    def send(self, request: Request) -> Deferred[Response]:
        answer: Deferred[Response] = Deferred(lambda _: self.channel.cancelled.append(request.request_id))
        if request.header.exec_endpoint == ASKED:
            self.channel.questions.append(request)
            if self.channel.told is not None:
                return answered(request, self.channel.told)
            self.channel.open.append(answer)
            return answer
        self.sent.append((request, answer))
        return answer

    def end(self) -> None:
        pass


def answered(request: Request, told: Any) -> Deferred[Response]:
    if isinstance(told, FlowError):
        return fail(told)
    told = Request(request_id=request.request_id, header=request.header, docs=DocumentArray(), groundtruths=DocumentArray(), parameters=told)  # fmt: skip
    return succeed(Response(told, DocumentArray(), DocumentArray(), []))


@implementer(IChannel)
class Channel:
    """Connects as it is told to.

    :param told: what the flow there answers to the question; None: nothing until told.
    """

    address = "there:1"
    most: int | None = 3

    def __init__(self, told: Any = TOLD) -> None:
        self.told = told
        self.refuses = self.hangs = self.closed = False
        self.exchanges: list[Exchange] = []
        self.questions: list[Request] = []
        self.cancelled: list[str] = []
        self.open: list[Deferred[Response]] = []

    def exchange(self) -> Deferred[Any]:
        if self.hangs:
            return Deferred()
        if self.refuses:
            return fail(Unavailable("cannot connect"))
        self.exchanges.append(Exchange(self))
        return succeed(self.exchanges[-1])

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)

    @property
    def sent(self) -> list[tuple[Request, Deferred[Response]]]:
        return [each for exchange in self.exchanges for each in exchange.sent]


class There:
    """An engine, its channel and its clock."""

    def __init__(self, channel: Channel | None = None, endpoints: Any = None, clock: Clock | None = None) -> None:
        self.channel, self.clock = channel or Channel(), clock or Clock()
        fixed = None if endpoints is None else {name: elsewhere(name) for name in endpoints}
        self.engine: Any = RemoteEngine(
            "far", "grpc://there:1", self.channel, self.channel, fixed or any_endpoint(), fixed is not None, 256,
            self.clock, self.clock.seconds,  # type: ignore[arg-type]
        )  # fmt: skip

    def start(self) -> There:
        self.started = self.engine.start()
        return self

    def ask(self, endpoint: str = "/up", *docs: Document, **fields: Any) -> Any:
        return asking(self.engine, request(*docs, endpoint=endpoint, **fields))

    def answer(self, number: int = -1, **fields: Any) -> None:
        asked, answer = self.channel.sent[number]
        answer.callback(Response(**{"request": asked, "docs": asked.docs, "groundtruths": asked.groundtruths, "routes": [], **fields}))  # fmt: skip


class TestStart:
    def test_interfaces(self) -> None:
        """It is an engine; the doubles are what they say."""
        assert verifyObject(IEngine, There().engine)
        assert verifyObject(IChannel, Channel())
        assert verifyObject(IExchange, Exchange(Channel()))

    def test_asks(self) -> None:
        """It asks the other flow for its endpoints, and what may be repeated."""
        there = There()
        assert list(there.engine.endpoints) == ["/default"]
        generations: list[str] = []
        there.engine.watch(lambda: generations.append(there.engine.health))
        there.start()
        assert there.engine.health == "ready"
        assert {name: each.idempotent for name, each in there.engine.endpoints.items()} == {"/up": True, "/down": False}
        assert generations[-1] == "ready"
        there.ask()
        assert there.channel.exchanges[-1].max_body == 1000

    def test_said(self) -> None:
        """Endpoints that are said are all that are meant."""
        there = There(endpoints=["/up", "/other"]).start()
        assert {name: each.idempotent for name, each in there.engine.endpoints.items()} == {
            "/up": True,
            "/other": False,
        }

    @pytest.mark.parametrize("told", [{}, {"endpoints": 5}, NotFound("there is no /post")])
    def test_one_that_knows_no_such_question(self, told: Any) -> None:
        """A server that cannot be asked gets all requests."""
        if isinstance(told, FlowError):
            told.response = object()  # it is the server that says so
        there = There(Channel(told)).start()
        assert there.engine.health == "ready"
        assert list(there.engine.endpoints) == ["/default"]

    @pytest.mark.parametrize("how", ["refuses", "hangs"])
    def test_down(self, how: str) -> None:
        """It starts though the other flow is down, says so, answers so, and asks again every 5 s."""
        there = There()
        setattr(there.channel, how, True)
        with Log() as lines:
            there.start()
            there.clock.advance(5)
        assert there.started.called
        assert there.engine.health == "failed" if how == "refuses" else "unhealthy"
        assert "the flow at grpc://there:1 is " in "".join(lines)
        if how == "refuses":
            with pytest.raises(Unavailable, match="executor 'far' at grpc://there:1 is failed"):
                there.engine.dispatch(request(endpoint="/up"))
        setattr(there.channel, how, False)
        with Log() as lines:
            there.clock.advance(5)
        assert there.engine.health == "ready"
        assert "is ready again" in "".join(lines)

    def test_not_ready(self) -> None:
        """One that is there, but says that it is not ready, is unhealthy until it is."""
        there = There(Channel({**TOLD, "ready": False})).start()
        assert there.engine.health == "unhealthy"
        there.channel.told = TOLD
        there.clock.advance(5)
        assert there.engine.health == "ready"

    def test_other_endpoints_later(self) -> None:
        """A check learns what has changed."""
        there = There().start()
        endpoints = there.engine.endpoints
        there.channel.told = {**TOLD, "endpoints": {"/new": {}}}
        there.engine.check(5, None)
        assert list(endpoints) == ["/new"]


class TestCalls:
    def test_what_goes_along(self) -> None:
        """The id, the parameters and what is left of the time; not the target, which names executors here."""
        there = There().start()
        answer = there.ask("/up", Document("a"), target="far", deadline=3.0, parameters={"x": 1}, request_id="mine")
        (asked, _) = there.channel.sent[0]
        assert (asked.request_id, asked.header.exec_endpoint, asked.header.target_peapod) == ("mine", "/up", "")
        assert (asked.timeout, asked.deadline, asked.parameters) == (3.0, None, {"x": 1})
        routes = [Route("gateway", "g", NOW, NOW), Route("e", "i", NOW, NOW)]
        there.answer(routes=routes)
        response = result_of(answer)
        assert response.request_id == "mine"
        assert response.routes == routes
        assert response.parameters == {"x": 1}

    def test_one_id_twice(self) -> None:
        """Requests of one id, of several callers, do not meet on the way."""
        there = There().start()
        answers = [there.ask("/up", Document(word), request_id="same") for word in "ab"]
        first, second = (asked.request_id for asked, _ in there.channel.sent)
        assert first == "same" != second
        there.answer(1)
        there.answer(0)
        assert [result_of(each).docs.texts for each in answers] == [["a"], ["b"]]
        there.ask("/up", request_id="same")
        assert there.channel.sent[2][0].request_id == "same"

    def test_error(self) -> None:
        """An error of the other flow is this one's; the address is as good as before."""
        there = There().start()
        answer = there.ask()
        status = status_of(ExecutorError("executor 'e' raised ValueError", executor="e"))
        there.answer(status=status, routes=[Route("e", "i", NOW, NOW, status)])
        error = result_of(answer).value
        assert (error.name, error.detail, error.executor) == ("ExecutorError", "executor 'e' raised ValueError", "e")
        assert [route.pod for route in error.routes] == ["e"]
        assert there.engine.health == "ready"

    def test_no_time_left(self) -> None:
        """What is too late already is not sent."""
        there = There().start()
        there.clock.advance(5)
        assert isinstance(result_of(there.ask(deadline=5.0)).value, DeadlineExceeded)
        assert there.channel.sent == []

    def test_cancelling(self) -> None:
        """The other flow is told, whether the request has been sent or waits for a connection."""
        there = There().start()
        answer = there.ask()
        answer.cancel()
        assert isinstance(result_of(answer).value, CancelledError)
        assert there.channel.cancelled == ["r1"]
        there.channel.exchanges[-1].over, there.channel.hangs = True, True
        answer = there.ask()
        answer.cancel()
        assert isinstance(result_of(answer).value, CancelledError)
        assert there.engine.health == "ready"

    def test_connects_again(self) -> None:
        """A connection that has ended is made anew by the next request; those that come meanwhile share it."""
        there = There().start()
        there.ask()
        there.channel.exchanges[-1].over = True
        waiting: Deferred[Any] = Deferred()
        there.channel.exchange = lambda: waiting  # type: ignore[method-assign]
        answers = [there.ask() for _ in range(2)]
        there.channel.exchanges.append(Exchange(there.channel))
        waiting.callback(there.channel.exchanges[-1])
        assert len(there.channel.exchanges[-1].sent) == 2
        for number, answer in enumerate(answers, 1):
            there.answer(number)
            assert type(result_of(answer)) is Response


class TestFailing:
    def test_a_connection_is_lost(self) -> None:
        """What was under way fails; the address is asked at once, and left alone where it does not answer."""
        there = There().start()
        answers = [there.ask() for _ in range(2)]
        there.channel.refuses = True
        for _, answer in there.channel.sent:
            answer.errback(Unavailable("lost"))
        assert all(isinstance(result_of(each).value, Unavailable) for each in answers)
        assert there.engine.health == "failed"
        there.clock.advance(0)
        for _ in range(3):
            there.clock.advance(1)
        assert there.engine.health == "failed"
        there.channel.refuses = False
        there.clock.advance(3)
        assert there.engine.health == "ready"
        there.ask()
        assert len(there.channel.sent) == 3

    def test_only_the_connection(self) -> None:
        """Where the flow itself is well, it is used again at once."""
        there = There().start()
        there.ask().addErrback(lambda _: None)
        there.channel.sent[0][1].errback(Unavailable("lost"))
        there.clock.advance(0)
        assert there.engine.health == "ready"

    def test_it_says_that_it_is_not_available(self) -> None:
        """Then it is asked, once a second at most, whether that holds for all of it: an executor may say so of itself."""
        there = There().start()
        there.clock.advance(60)
        asked = len(there.channel.questions)
        for ready, health in ((True, "ready"), (False, "unhealthy")):
            there.channel.told = {**TOLD, "ready": ready}
            for _ in range(10):
                answer = there.ask()
                there.answer(status=status_of(Unavailable("the server is stopping")))
                assert isinstance(result_of(answer).value, Unavailable)
                there.clock.advance(0.1)
            assert there.engine.health == "ready" or not ready
            there.clock.advance(1)
            answer = there.ask()
            there.answer(status=status_of(Unavailable("x")))
            result_of(answer)
            there.clock.advance(0)
            assert there.engine.health == health
        assert len(there.channel.questions) - asked <= 5
        there.channel.told = TOLD
        there.clock.advance(5)
        assert there.engine.health == "ready"

    def test_a_question_that_is_not_answered_well(self) -> None:
        """A proxy's page, or a stopping server, is not well; a server that wants no more than a byte is corrected later."""
        for error, told, health in (
            (ExecutorError("the server answered 302"), True, "unhealthy"),
            (Unavailable("the server is stopping"), True, "unhealthy"),
            (Unavailable("the server answered 502"), False, "failed"),
        ):
            error.response = object() if told else None
            there = There(Channel(error)).start()
            assert there.engine.health == health
            there.channel.told = TOLD
            there.clock.advance(5)
            assert there.engine.health == "ready"
        there = There(Channel({**TOLD, "max_body": 1})).start()
        there.channel.told = {**TOLD, "max_body": -5}
        there.engine.check(5, None)
        there.ask()
        assert there.channel.exchanges[-1].max_body is None

    def test_as_many_as_it_reads(self) -> None:
        """No more requests are under way than the other server reads: else it would not hear what is cancelled."""
        for most, window in ((None, 127), (3, 256)):
            channel = Channel()
            channel.most = most
            there = There(channel).start()
            assert there.engine.window == window
            assert channel.most == (None if most is None else 256)  # each has a connection of its own
            there.ask()
            greeted = most is None
            assert len(channel.questions) == 1 + greeted

    def test_what_cannot_be_sent(self) -> None:
        """It is an error that names the place, and nothing of it is kept."""
        there = There().start()
        there.ask()

        def refuse(request: Request) -> Any:
            raise TypeError("object")

        there.channel.exchanges[-1].send = refuse  # type: ignore[method-assign]
        error = result_of(there.ask("/up", request_id="other")).value
        assert isinstance(error, ExecutorError)
        assert "what executor 'far' takes" in error.detail
        assert not error.begun
        assert there.engine._ids == {"r1"}

    def test_several_addresses(self) -> None:
        """The least busy of those that are well; one that has failed is left alone, and tried again."""
        clock = Clock()
        flows = [There(clock=clock).start() for _ in range(2)]
        both: Any = Replicas([each.engine for each in flows])
        for _ in range(4):
            asking(both, request(endpoint="/up")).addErrback(lambda _: None)
        assert [len(each.channel.sent) for each in flows] == [2, 2]
        flows[0].channel.refuses = True
        flows[0].channel.sent[0][1].errback(Unavailable("lost"))
        clock.advance(0)
        for _ in range(4):
            asking(both, request(endpoint="/up"))
        assert [len(each.channel.sent) for each in flows] == [2, 6]
        assert both.health == "ready"
        flows[0].channel.refuses = False
        clock.advance(5)
        asking(both, request(endpoint="/up"))
        assert [len(each.channel.sent) for each in flows] == [3, 6]


class TestStop:
    def test_stop(self) -> None:
        """Nothing is left behind, whatever it was at."""
        for told, hangs in ((TOLD, False), (None, False), (TOLD, True)):
            there = There(Channel(told))
            there.channel.hangs = hangs
            there.start()
            there.engine.stop()
            there.clock.advance(1)
            assert there.engine.health == "stopped"
            assert there.channel.closed
            there.clock.advance(60)
            assert there.clock.getDelayedCalls() == []
            with pytest.raises(Unavailable, match="is stopped"):
                there.engine.dispatch(request())

    def test_never_started(self) -> None:
        """There is nothing to stop."""
        there = There()
        there.engine.stop()
        assert not there.channel.closed


def test_the_catalogue() -> None:
    """It comes out as it went in; an endpoint may be repeated if all executors that have it say so."""

    class Has:
        health = "ready"

        def __init__(self, **endpoints: bool) -> None:
            self.endpoints = {f"/{name}": elsewhere(f"/{name}", idempotent=again) for name, again in endpoints.items()}

    told = Catalogue.of([Has(a=True, b=True), Has(b=False), Has(c=True)], Limits(max_body=5, max_in_flight=7)).told()
    found = catalogue_in(told)
    assert found.endpoints is not None
    assert {name: each.idempotent for name, each in found.endpoints.items()} == {"/a": True, "/b": False, "/c": True}
    assert (found.ready, found.max_body, found.max_in_flight) == (True, 5, 7)
    unwell = Has(a=True)
    unwell.health = "failed"
    assert not Catalogue.of([unwell], Limits()).ready
    with_default = Catalogue.of([Has(a=True), Has(default=False)], Limits()).endpoints
    assert with_default is not None
    assert not with_default["/a"].idempotent
