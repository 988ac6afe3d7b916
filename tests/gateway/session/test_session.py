"""How much may be in flight on one connection: fewer requests, the larger they or their answers are."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.grpc_calls import UNLIMITED, call, proto
from tests.support import Held
from tests.websockets import WebSocket, frame, frames, lose
from twisted_flow import DocumentArray, Executor, Flow, Limits, requests

LIMITS = Limits(max_in_flight=4, max_in_flight_size=4000)


def hello(size: int) -> bytes:
    """A request of *size* bytes."""
    before, behind = b'{"execEndpoint": "/", "data": [{"id": "a", "text": "', b'"}]}'
    return frame(before + b"x" * (size - len(before) - len(behind)) + behind)


@pytest.mark.parametrize(("size", "most"), [(200, 4), (1000, 4), (1001, 3), (2000, 2), (4000, 1), (9000, 1)])
def test_large_requests(size: int, most: int) -> None:
    """All of them are answered, one after another."""
    held = Held()
    wire = WebSocket(held, limits=LIMITS).open()
    wire.receive(hello(size) * 10)
    for position in range(10):
        assert position < len(held.requests) <= position + most
        held.release(position)
    assert len(held.requests) == 10
    assert len(frames(wire.value())) == 10


def test_large_answers() -> None:
    """What small requests were answered at large tells how many more are let in; small answers tell the contrary."""
    held = Held()
    wire = WebSocket(held, limits=LIMITS).open()
    wire.receive(hello(200) * 60)
    for position in range(10):
        held.requests[position].docs[0].text = "x" * 1900
        held.release(position)
    assert len(held.requests) == 11  # with what the envelope takes an answer is larger than half of what may be there
    for position in range(10, 60):
        held.release(position)
    assert wire.protocol.flow_session.room.most == 4


def test_the_first_burst() -> None:
    """Before the first answer nothing says how large they are: few requests are let in."""
    held = Held()
    wire = WebSocket(held).open()
    wire.receive(hello(100) * 100)
    assert len(held.requests) == 16
    held.requests[0].docs[0].text = "x" * (8 << 20)
    held.release(0)
    assert len(held.requests) == 16
    assert wire.protocol.flow_session.room.most == 7


def test_as_many_bytes_as_may_be() -> None:
    """What is not answered yet counts, on all connections; what cannot begin is told so under its own id."""
    held = Held()
    server = WebSocket(held, limits=Limits(max_buffered=250))
    wires = [server.open(), server.open()]
    for wire in wires:
        wire.receive(hello(200))
    wires[0].receive(frame(b'{"execEndpoint": "/", "requestId": "third", "data": []}'))
    (answered,) = [json.loads(body) for _, body in frames(wires[0].value())]
    assert (answered["requestId"], answered["status"]["exception"]["name"]) == ("third", "QueueFull")
    held.release(0)
    wires[0].receive(hello(200))
    assert len(held.requests) == 3
    lose(wires[1])
    for position in (2,):
        held.release(position)
    assert server.connections.buffered.bytes == 0


@given(st.lists(st.integers(0, 100_000), max_size=50), st.integers(1, 200), st.integers(1, 50_000))
def test_room(sizes: list[int], most: int, size: int) -> None:
    """There is always room for one, and never for more than fit."""
    session = WebSocket(limits=Limits(max_in_flight=most, max_in_flight_size=size)).open().protocol.flow_session
    for each in sizes:
        session.room.weigh(each)
        assert 1 <= session.room.most <= most
        assert session.room.most == 1 or session.room.most * each <= size


class Counts(Executor):
    """Tells how many calls are under way at most."""

    def __init__(self) -> None:
        self.under_way, self.most = 0, 0

    @requests
    async def count(self, docs: DocumentArray) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        for _ in range(200):  # turns of the loop, in which others could come
            await asyncio.sleep(0)
        self.under_way -= 1
        docs[0].tags["most"] = self.most


@pytest.mark.parametrize(("size", "most"), [(3000, 1), (10, 4)])
def test_grpc(size: int, most: int) -> None:
    """A stream holds as few, and all are answered."""
    with (
        Flow(protocol="grpc", host="127.0.0.1", limits=LIMITS).add(uses=Counts) as flow,
        grpc.insecure_channel(f"127.0.0.1:{flow.port}", UNLIMITED) as channel,
    ):
        answers = list(call(channel, [proto("/", "x" * size, request_id=str(n)) for n in range(40)]))
        assert [answer.status.code for answer in answers] == [0] * 40
        assert {answer.request_id for answer in answers} == {str(n) for n in range(40)}
        assert max(answer.data.docs[0].tags["most"] for answer in answers) <= most
