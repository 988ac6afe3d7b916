"""Requests in parts: messages of one connection that carry the same id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.engine.streams import doing, until
from tests.streams import Taking
from tests.support import Wire, post
from tests.websockets import WebSocket, frame, frames, lose
from twisted_flow.codec import protobuf
from twisted_flow.document import Document, DocumentArray
from twisted_flow.errors import BadRequest, QueueFull, ValidationError
from twisted_flow.limits import Limits
from twisted_flow.message import Header, Request, bare_request
from twisted_flow.parts import AHEAD

BINARY, TEXT = 2, 1


class Client:
    """Speaks JSON, or protobuf, on a WebSocket in memory."""

    def __init__(self, binary: bool, dispatcher: Any, **limits: Any) -> None:
        self.binary = binary
        self.server = WebSocket(dispatcher, limits=Limits(**limits))
        self.wire: Wire = self.server.open()

    def say(self, request_id: str, *texts: str, endpoint: str = "", last: bool = False, **more: Any) -> None:
        """Send a message of a request."""
        if self.binary:
            nothing = DocumentArray()
            asked = Request(
                request_id=request_id, header=Header(endpoint), docs=DocumentArray(map(Document, texts)),
                groundtruths=DocumentArray(map(Document, more.get("groundtruths", ()))) or nothing,
                parameters={}, pending=not last, stream=more.get("stream", False),
            )  # fmt: skip
            self.wire.receive(frame(protobuf.encode_request(asked), BINARY))
            return
        body: dict[str, Any] = {"requestId": request_id, "data": list(texts)}
        if "groundtruths" in more:
            body["data"] = {"docs": list(texts), "groundtruths": more["groundtruths"]}
        if endpoint:
            body["execEndpoint"] = endpoint
        if more.get("stream"):
            body["stream"] = True
        if not last:
            body["status"] = {"code": 1}
        self.wire.receive(frame(json.dumps(body).encode()))

    def send(self, payload: bytes) -> None:
        self.wire.receive(frame(payload, BINARY if self.binary else TEXT))

    def say_wrong(self, request_id: str, *, endpoint: str = "", code: int = 0) -> None:
        """Send a message whose one document cannot be read."""
        if self.binary:
            proto = protobuf.RequestProto(request_id=request_id)
            proto.data.docs.add().embedding.dense.shape.append(3)
            proto.header.exec_endpoint = endpoint
            proto.status.code = code
            self.send(proto.SerializeToString())
            return
        body = {"requestId": request_id, "data": [{"text": 5}], "status": {"code": code}}
        self.send(json.dumps({**body, "execEndpoint": endpoint} if endpoint else body).encode())

    def cancel(self, request_id: str) -> None:
        if self.binary:
            self.send(protobuf.encode_request(bare_request(request_id, cancels=True)))
        else:
            self.send(json.dumps({"cancel": request_id}).encode())

    def answers(self) -> dict[str, list[Any]]:
        """What has been answered, by the request's id: texts, or an error's name and arguments."""
        found: dict[str, list[Any]] = {}
        for opcode, payload in frames(self.wire.value()):
            if opcode == BINARY:
                proto = protobuf.RequestProto.FromString(payload)
                told = proto.status.exception
                said = [told.name, *told.args] if told.name else [each.text for each in proto.data.docs]
                found.setdefault(proto.request_id, []).append(said)
            elif opcode == TEXT:
                answer = json.loads(payload)
                wrong = answer["status"]["exception"]
                said = [wrong["name"], *wrong["args"]] if wrong else [each["text"] for each in answer["data"]["docs"]]
                found.setdefault(answer["requestId"], []).append(said)
        return found


@pytest.fixture(params=[False, True], ids=["json", "bytes"])
def binary(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def taking() -> Taking:
    return Taking()


@pytest.fixture
def client(binary: bool, taking: Taking) -> Iterator[Client]:
    client = Client(binary, taking)
    yield client
    lose(client.wire)
    assert client.server.connections.buffered.bytes == 0


class TestParts:
    def test_as_they_come(self, client: Client, taking: Taking) -> None:
        """The first message begins the request, those that follow add to it, the last one ends it."""
        client.say("r1", "one", endpoint="/chat")
        assert taking.taken == [["one"]]
        taking.listen()
        client.say("r1", "two", "three")
        assert taking.taken == [["one", "two", "three"]]
        client.say("r1")
        client.say("r1", "four", last=True)
        assert taking.requests[0].parts is not None
        assert taking.requests[0].parts.over
        taking.answer()
        assert client.answers() == {"r1": [["one", "two", "three", "four"]]}

    def test_several_at_once(self, client: Client, taking: Taking) -> None:
        """Each request gets its own; whole ones are answered meanwhile."""
        client.say("r1", "a", endpoint="/x")
        client.say("r2", "b", endpoint="/x")
        client.say("r3", "c", endpoint="/x", last=True)
        for position in (0, 1):
            taking.listen(position)
        client.say("r2", "B", last=True)
        client.say("r1", "A", last=True)
        assert taking.taken == [["a", "A"], ["b", "B"], ["c"]]
        for position in (2, 0, 1):
            taking.answer(position)
        assert client.answers() == {"r3": [["c"]], "r1": [["a", "A"]], "r2": [["b", "B"]]}

    def test_the_id_again(self, client: Client, taking: Taking) -> None:
        """Behind the last message its id is free again."""
        for position in range(2):
            client.say("r1", "a", endpoint="/x")
            client.say("r1", "b", last=True)
            taking.listen(position)
            taking.answer(position)
        assert client.answers() == {"r1": [["a", "b"], ["a", "b"]]}

    def test_large_messages(self, binary: bool) -> None:
        """What takes long to read is taken in order all the same; others may pass it."""
        large = "x" * 3_000_000
        taking = Taking()

        async def run() -> None:
            client = Client(binary, taking)
            client.say("r1", large, endpoint="/x")
            client.say("r1", "small")
            client.say("r2", "passes", endpoint="/x", last=True)
            client.say("r1", large + "y")
            client.say("r1", "end", last=True)
            await until(lambda: len(taking.requests) == 2)
            first = [each.request_id for each in taking.requests].index("r1")
            taking.listen(first)
            await until(lambda: len(taking.taken[first]) == 4)
            assert taking.taken[first] == [large, "small", large + "y", "end"]
            lose(client.wire)
            assert client.server.connections.buffered.bytes == 0

        doing(run)

    def test_answered_early(self, client: Client, taking: Taking) -> None:
        """What still comes is dropped, until its last message."""
        client.say("r1", "a", endpoint="/x")
        client.say("r1", "b")
        taking.answer()
        assert client.answers() == {"r1": [["a"]]}
        client.say("r1", *["x"] * 1000)
        client.say("r1", last=True)
        assert client.wire.producerState == "producing"
        client.say("r1", "again", endpoint="/x", last=True)
        assert len(taking.requests) == 2


class TestWrong:
    def test_no_such_request(self, client: Client, taking: Taking) -> None:
        """A part of nothing names what is missing."""
        client.say("r1", "a")
        client.say("r2", "a", last=True)
        place = "/header/exec_endpoint" if client.binary else "/execEndpoint"
        said = ["ValidationError", "a field is invalid", f"{place}: is required"]
        assert {each: answer[0][:1] + answer[0][2:] for each, answer in client.answers().items()} == {
            "r1": [said[0], said[2]], "r2": [said[0], said[2]],
        }  # fmt: skip
        assert taking.requests == []

    def test_a_part_that_cannot_be_read(self, client: Client, taking: Taking) -> None:
        """It is the end of its request, by an error that names the field, behind what came before; others live on."""
        client.say("r1", "a", endpoint="/x")
        client.say("r2", "a", endpoint="/x")
        client.say("r1", "b")
        client.say_wrong("r1", code=1)
        client.say("r1", "dropped")
        for position in (0, 1):
            taking.listen(position)
        assert taking.taken == [["a", "b"], ["a"]]
        assert type(taking.errors[0]) is ValidationError
        assert taking.errors[0].errors[0].pointer.startswith("/data/")
        client.say("r1", last=True)
        client.say("r2", "b", last=True)
        assert taking.taken[1] == ["a", "b"]

    def test_a_last_part_that_cannot_be_read(self, client: Client, taking: Taking) -> None:
        """It is the last all the same: its id is free again."""
        client.say("r1", "a", endpoint="/x")
        client.say_wrong("r1")
        taking.listen()
        assert type(taking.errors[0]) is ValidationError
        client.say("r1", "again", endpoint="/x", last=True)
        assert len(taking.requests) == 2

    def test_groundtruths(self, client: Client, taking: Taking) -> None:
        """They belong into the first message."""
        client.say("r1", "a", endpoint="/x", groundtruths=["A"])
        assert taking.requests[0].groundtruths.texts == ["A"]
        client.say("r1", "b", groundtruths=["B"])
        taking.listen()
        assert taking.errors[0].errors[0].pointer == "/data/groundtruths"

    def test_codes(self) -> None:
        """Of a request a status is 0 or 1."""
        client = Client(False, Taking())
        client.send(b'{"requestId": "r1", "execEndpoint": "/x", "data": [], "status": {"code": 3}}')
        assert client.answers()["r1"][0][2].startswith("/status/code: of a request is 0, or 1")

    def test_only_where_there_are_several_messages(self) -> None:
        """Over HTTP a request is one."""
        wire = WebSocket(Taking()).connect()
        wire.receive(post("/index", {"data": ["a"], "status": {"code": 1}}))
        answer = wire.value()
        assert answer.startswith(b"HTTP/1.1 422")
        assert b"/status/code" in answer


class TestEnds:
    def test_cancelled(self, client: Client, taking: Taking) -> None:
        """By its id, whether or not it has come in whole: the work ends, and is answered."""
        client.say("r1", "a", endpoint="/x")
        taking.listen()
        client.cancel("r1")
        assert taking.cancelled == 1
        assert client.answers()["r1"][0][0] == "Cancelled"
        client.say("r1", "again", endpoint="/x", last=True)
        assert taking.taken == [["a"], ["again"]]

    def test_the_client_goes_away(self, client: Client, taking: Taking) -> None:
        """Nothing runs for it."""
        client.say("r1", "a", endpoint="/x")
        client.say("r1", "b")
        lose(client.wire)
        assert taking.cancelled == 1

    @pytest.mark.parametrize("how", ["end of input", "half-close"])
    def test_the_client_says_no_more(self, client: Client, taking: Taking, how: str) -> None:
        """Without its last message a request is not whole, and its method is told so; others are answered."""
        client.say("r1", "a", endpoint="/x")
        client.say("r2", "b", endpoint="/x", last=True)
        client.say("r1", "b")
        if how == "half-close":
            client.wire.protocol.readConnectionLost()
        else:
            client.wire.receive(frame(b"\0", BINARY))
        taking.listen()
        assert taking.taken[0] == ["a", "b"]
        assert type(taking.errors[0]) is BadRequest
        assert "before the last message" in str(taking.errors[0])
        taking.answer(1)
        taking.answer(0)
        assert client.answers() == {"r2": [["b"]], "r1": [["a", "b"]]}

    def test_drain(self, client: Client, taking: Taking) -> None:
        """What has begun goes on to its end; what has not is refused; then the connection ends."""
        client.say("r1", "a", endpoint="/x")
        taking.listen()
        client.wire.protocol.drain()
        client.say("r2", "b", endpoint="/x")
        client.say("r2", "c", last=True)
        client.say("r1", "b", last=True)
        taking.answer()
        answers = client.answers()
        assert answers["r1"] == [["a", "b"]]
        assert [each[0] for each in answers["r2"]] == ["Unavailable"]


class TestFlow:
    def test_who_does_not_take_pauses_the_connection(self, client: Client, taking: Taking) -> None:
        """A few messages are kept; what comes behind them is not read until some have been taken."""
        client.say("r1", endpoint="/x")
        for number in range(1000):
            client.say("r1", f"{number} " + "x" * 1000)
        client.say("r1", last=True)
        assert client.wire.producerState == "paused"
        kept = client.server.connections.buffered.bytes
        assert 0 < kept < 2 * AHEAD * 1100
        taking.listen()
        client.wire.turn()
        assert len(taking.taken[0]) == 1000
        assert client.wire.producerState == "producing"
        assert taking.requests[0].parts is not None
        assert taking.requests[0].parts.over

    def test_large_ones(self, client: Client, taking: Taking) -> None:
        """Of large messages fewer are kept."""
        client.say("r1", endpoint="/x")
        for _ in range(20):
            client.say("r1", "x" * 100_000)
        assert client.server.connections.buffered.bytes <= (AHEAD << 16) + 200_000

    def test_heard_though_there_is_no_room(self, binary: bool) -> None:
        """Parts, and cancels, of what is under way are read behind requests that wait; these begin in their turn."""
        taking = Taking()
        client = Client(binary, taking, max_in_flight=2)
        client.say("r1", "a", endpoint="/x")
        for number in range(4):
            client.say(f"w{number}", "x", endpoint="/x", last=True)
        assert [each.request_id for each in taking.requests] == ["r1", "w0", "w1"]
        taking.listen()
        client.say("r1", "b")
        client.cancel("w0")
        client.cancel("w3")
        assert taking.taken[0] == ["a", "b"]
        assert [answer[0][0] for answer in client.answers().values()] == ["Cancelled"] * 2
        client.wire.turn()
        assert [each.request_id for each in taking.requests] == ["r1", "w0", "w1", "w2"]
        client.say("r1", "c", last=True)
        taking.answer(0)
        taking.answer(2)
        taking.answer(3)
        assert {each: answers[0] for each, answers in client.answers().items() if answers[0][0] != "Cancelled"} == {
            "r1": ["a", "b", "c"], "w1": ["x"], "w2": ["x"],
        }  # fmt: skip

    def test_parts_of_a_request_that_waits(self, binary: bool) -> None:
        """They are kept for it."""
        taking = Taking()
        client = Client(binary, taking, max_in_flight=1)
        client.say("w", "x", endpoint="/x", last=True)
        client.say("r1", "a", endpoint="/x")
        client.say("r1", "b", last=True)
        assert len(taking.requests) == 1
        taking.answer()
        client.wire.turn()
        taking.listen(1)
        assert taking.taken[1] == ["a", "b"]

    def test_the_client_does_not_read(self, client: Client, taking: Taking) -> None:
        """It is heard on what is under way all the same; what it says wrong meanwhile stops that."""
        client.say("r1", "a", endpoint="/x")
        taking.listen()
        client.wire.protocol.pauseProducing()
        client.say("r1", "b")
        assert taking.taken[0] == ["a", "b"]
        client.say("w", "x", endpoint="/x", last=True)
        assert len(taking.requests) == 1
        for _ in range(300):
            client.send(b"nonsense" * 1000)
        assert client.wire.producerState == "paused"
        assert len(client.answers()) <= 2 * 128
        client.wire.protocol.resumeProducing()
        assert len(taking.requests) == 2

    def test_one_that_ends_crowded(self, client: Client, taking: Taking) -> None:
        """Once what was kept of it has been taken the others go on, though its last message came long ago."""
        client.say("r1", endpoint="/x")
        client.say("r2", endpoint="/x")
        client.say("r1", *["x"] * 3, last=True)
        for _ in range(AHEAD):
            client.say("r2", "y")
        client.say("r2", last=True)
        assert client.wire.producerState == "producing"
        client.say("r3", "x" * 100_000, endpoint="/x")
        client.say("r3", "z" * 2_000_000, last=True)
        taking.listen(1)
        taking.listen(0)
        client.wire.turn()
        client.say("r4", "heard", endpoint="/x", last=True)
        assert len(taking.requests) == 4

    def test_bytes_count_until_they_are_used(self, client: Client, taking: Taking) -> None:
        """Those of the first message until its request is answered; those of others until whoever took them wants more;
        those that are collected for a list, until it is answered.
        """
        buffered = client.server.connections.buffered
        client.say("r1", "x" * 100_000, endpoint="/x")
        assert buffered.bytes > 100_000
        client.say("r1", "y" * 50_000)
        assert buffered.bytes > 150_000
        parts: Any = taking.requests[0].parts
        parts.pull()
        assert buffered.bytes > 150_000
        parts.collecting(40_000)
        client.say("r1", "z")
        parts.pull()
        assert 140_000 < buffered.bytes < 150_000
        taking.answer()
        assert buffered.bytes == 0

    def test_too_many_bytes(self, binary: bool) -> None:
        """A connection has no more in uploads than it may have in flight; what is collected finds room, or fails."""
        taking = Taking()
        client = Client(binary, taking, max_in_flight_size=100_000, max_buffered=150_000)
        client.say("r1", "x" * 110_000, endpoint="/x")
        client.say("r2", "y", endpoint="/x")
        client.say("r2", "y")
        client.say("r2", "y", last=True)
        assert [answer[0] for answer in client.answers()["r2"]] == ["QueueFull"]
        parts: Any = taking.requests[0].parts
        with pytest.raises(QueueFull):
            parts.collecting(50_000)

    def test_the_client_goes_away_while_a_message_is_read(self, binary: bool) -> None:
        """What waits behind it is not begun any more."""
        taking = Taking()

        async def run() -> None:
            client = Client(binary, taking)
            client.say("r1", "x" * 3_000_000, endpoint="/x", last=True)
            client.say("r2", "a", endpoint="/x")
            lose(client.wire)
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            assert taking.requests == []
            assert client.server.connections.buffered.bytes == 0

        doing(run)

    def test_a_last_part_that_looks_like_a_request(self, binary: bool) -> None:
        """It repeats the endpoint, and has come before the first could be read: it is the same request's all the same."""
        taking = Taking()

        async def run() -> None:
            client = Client(binary, taking)
            client.say("r1", "x" * 3_000_000, endpoint="/x")
            client.say("r1", "b", endpoint="/x", last=True)
            await until(lambda: taking.requests)
            taking.listen()
            await until(lambda: len(taking.taken[0]) == 2)
            assert len(taking.requests) == 1
            lose(client.wire)

        doing(run)

    def test_one_answer_to_what_is_refused(self, client: Client, taking: Taking) -> None:
        """What follows a first message that is wrong is dropped, up to the last."""
        client.say_wrong("r1", endpoint="/x", code=1)
        for _ in range(5):
            client.say("r1", "b")
        client.say("r1", last=True)
        assert len(client.answers()["r1"]) == 1
        client.say("r1", "again", endpoint="/x", last=True)
        assert len(taking.requests) == 1

    def test_cut_in_the_middle_of_a_frame(self, client: Client) -> None:
        """What comes when the grace is over is not looked at."""
        client.say("r1", "a", endpoint="/x")
        whole = frame(b"x" * 70_000)
        client.wire.receive(whole[:1000])
        client.wire.protocol.drain()
        client.wire.protocol.cut()
        client.wire.receive(whole[1000:])
        codes = [payload[:2] for opcode, payload in frames(client.wire.value()) if opcode == 8]
        assert codes == [(1001).to_bytes(2, "big")]


class Talk(RuleBasedStateMachine):
    """Some requests in parts, and whole ones, in any order, with any bound: each gets its own documents in order, and
    one answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taking = Taking()
        self.client = Client(False, self.taking, max_in_flight=3)
        self.sent: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.number = 0
        self.answered: set[int] = set()
        self.cancelled: set[str] = set()

    @rule(last=st.booleans())
    def begins(self, last: bool) -> None:
        self.number += 1
        name = f"r{self.number}"
        self.sent[name] = [f"{name} first"]
        self.client.say(name, f"{name} first", endpoint="/x", last=last)
        if not last:
            self.open.append(name)

    @rule(data=st.data(), last=st.booleans(), texts=st.integers(0, 3))
    def goes_on(self, data: st.DataObject, last: bool, texts: int) -> None:
        if self.open:
            name = data.draw(st.sampled_from(self.open))
            said = [f"{name} {len(self.sent[name]) + n}" for n in range(texts)]
            self.sent[name] += said
            self.client.say(name, *said, last=last)
            if last:
                self.open.remove(name)

    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.sent, "nobody"]))
        self.cancelled.add(name)
        self.client.cancel(name)
        if name in self.open:
            self.open.remove(name)

    @rule(data=st.data())
    def takes(self, data: st.DataObject) -> None:
        waiting = [n for n, each in enumerate(self.taking.requests) if each.parts is not None and not each.parts.over]
        if waiting:
            position = data.draw(st.sampled_from(waiting))
            if position not in self.answered and not self.taking.answers[position].called:
                self.taking.listen(position)
                self.answered.add(position)

    @rule(data=st.data())
    def answers(self, data: st.DataObject) -> None:
        waiting = [n for n, each in enumerate(self.taking.answers) if not each.called]
        if waiting:
            self.taking.answer(data.draw(st.sampled_from(waiting)))

    @rule()
    def turns(self) -> None:
        self.client.wire.turn()

    @invariant()
    def in_order(self) -> None:
        for each, taken in zip(self.taking.requests, self.taking.taken, strict=True):
            assert taken == self.sent[each.request_id][: len(taken)]

    def teardown(self) -> None:
        for name in self.open:
            self.client.say(name, last=True)
        for _ in range(self.number + 1):
            for position, each in enumerate(self.taking.answers):
                if not each.called:
                    if position not in self.answered and self.taking.requests[position].parts is not None:
                        self.taking.listen(position)
                        self.answered.add(position)
                    self.taking.answer(position)
            self.client.wire.turn()
        answers = self.client.answers()
        assert set(answers) == set(self.sent)
        assert all(len(each) == 1 for each in answers.values())
        for name, answer in answers.items():
            if name not in self.cancelled:
                assert answer[0] == self.sent[name][: len(answer[0])]
        lose(self.client.wire)
        assert self.client.server.connections.buffered.bytes == 0


TestTalk = Talk.TestCase
TestTalk.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
