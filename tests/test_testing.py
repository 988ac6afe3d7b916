"""The doubles that users are given for their tests."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any, TypedDict

import pytest
from zope.interface.verify import verifyObject

from tests.support import ROOT, TIMEOUT
from twisted_flow import Document, DocumentArray, Executor, Flow, Reject, requests
from twisted_flow.errors import DeadlineExceeded, ExecutorError, NotFound, ValidationError
from twisted_flow.interfaces import IDispatcher, IListenAddress
from twisted_flow.testing import Answering, MemoryAddress, MemoryFlow, MemoryGateway, call


class Asked(TypedDict):
    times: int


class Times(TypedDict, total=False):
    times: int


class Shout(Executor):
    """Of every kind."""

    def __init__(self, mark: str = "!") -> None:
        self.mark = mark

    @requests(on="/shout")
    def shout(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        for document in docs:
            document.text = (document.text or "").upper() + self.mark * int(parameters.get("times", 1))

    @requests(on="/later")
    async def later(self, docs: DocumentArray) -> Iterator[Document]:
        await asyncio.sleep(0)
        return (Document(text="later") for _ in docs)

    @requests(on="/typed")
    async def typed(self, docs: DocumentArray, parameters: Asked) -> None:
        docs[0].tags["times"] = parameters["times"]

    @requests(on="/fail")
    def fail(self) -> None:
        raise ValueError("as asked")

    @requests(on="/reject")
    def reject(self) -> None:
        raise Reject("NotFound", "not here")

    @requests(on="/tags")
    def tags(self, docs: DocumentArray) -> None:
        docs[0].tags["it"] = object()


class TestCall:
    def test_methods_of_all_kinds(self) -> None:
        """In their thread or on the loop; what a client would get."""
        response = call(Shout, "/shout", [Document("a"), Document("b")], parameters={"times": 2})
        assert response.docs.texts == ["A!!", "B!!"]
        assert [route.pod for route in response.routes] == ["gateway", "executor0"]
        assert call(Shout, "/later", Document("x")).docs.texts == ["later"]
        assert call(Shout, "/shout", Document("a"), uses_with={"mark": "?"}, name="s").routes[-1].pod == "s"
        assert call(lambda docs: None, "/any", Document("x")).docs.texts == ["x"]
        assert len(call(Shout, "/shout", [Document("x")] * 250).docs) == 250
        assert call(Shout, "/shout").docs == []

    def test_errors_as_a_caller_sees_them(self) -> None:
        """Parameters are validated, documents are checked on their way, and tracebacks stay at home."""
        with pytest.raises(ExecutorError, match="'executor0' raised ValueError"):
            call(Shout, "/fail", Document("x"))
        with pytest.raises(NotFound, match="not here"):
            call(Shout, "/reject")
        with pytest.raises(ValidationError, match="times") as raised:
            call(Shout, "/typed", Document("x"), parameters={"times": "many"})
        assert raised.value.errors[0].pointer == "/parameters/times"
        with pytest.raises(ExecutorError, match="/data/docs/0/tags/it"):
            call(Shout, "/tags", Document("x"))


class TestMemoryFlow:
    @pytest.mark.parametrize("codec", ["json", "bytes"])
    def test_flow(self, codec: str) -> None:
        """Forks, joins, and an executor's own thread; nothing listens, nothing is left."""
        before = set(threading.enumerate())
        flow = Flow().add(uses=Shout, name="a").add(uses=Shout, name="b", needs="gateway").needs_all()
        with MemoryFlow(flow, codec=codec) as served:
            answers = served.post("/shout", ["x"] * 3, return_results=True, request_size=1)
            assert [each.docs.texts for each in answers] == [["X!"]] * 3
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("executor"):
                thread.join(TIMEOUT)
                assert not thread.is_alive()

    def test_deadline(self) -> None:
        """A request whose time is over is told so."""

        async def sleep(docs: DocumentArray) -> None:
            await asyncio.sleep(60)

        with MemoryFlow(Flow().add(uses=sleep)) as served, pytest.raises(DeadlineExceeded):
            served.post("/x", "x", timeout=0.05)

    def test_asyncio(self) -> None:
        """For a test that is a coroutine."""

        async def ask() -> list[str | None]:
            with MemoryFlow(Flow().add(uses=Shout), asyncio=True) as served:
                return [each.docs[0].text async for each in served.post("/shout", "x")]

        assert asyncio.run(ask()) == ["X!"]

    def test_a_flow_that_cannot_start(self) -> None:
        """Its error is the test's."""
        with pytest.raises(ZeroDivisionError), MemoryFlow(Flow().add(uses=Broken)):
            pass


class Broken(Executor):
    def __init__(self) -> None:
        _ = 1 / 0

    @requests
    def f(self) -> None: ...


class TestMemoryGateway:
    def test_http(self) -> None:
        """Bytes in, bytes out; its time is the test's."""
        dispatcher = Answering()
        assert verifyObject(IDispatcher, dispatcher)
        gateway = MemoryGateway("http", dispatcher, cors=True)
        connection = gateway.connect()
        connection.receive(b"GET /status HTTP/1.1\r\nHost: flow\r\nOrigin: https://a.example\r\n\r\n")
        head = connection.value().partition(b"\r\n\r\n")[0]
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert b"Access-Control-Allow-Origin: *" in head
        gateway.clock.pump([1] * 100)
        assert connection.closed

    def test_websocket(self) -> None:
        """The others too; after the end nothing is taken."""
        gateway = MemoryGateway("websocket", Answering())
        connection = gateway.connect()
        connection.receive(b"GET / HTTP/1.1\r\nHost: flow\r\n\r\n")
        assert b"426 Upgrade Required" in connection.value()
        connection.lose()
        stopped: list[Any] = []
        gateway.close().addCallback(stopped.append)
        gateway.clock.advance(1)
        assert stopped
        assert gateway.connect().closed

    def test_address(self) -> None:
        """It is an address like any other."""
        assert verifyObject(IListenAddress, MemoryAddress())


def test_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's chapter runs as it stands."""
    import sys
    import types

    module: Any = types.ModuleType("shout")

    class Shouting(Executor):
        def __init__(self, strict: bool = False) -> None:
            pass

        @requests(on="/shout")
        async def shout(self, docs: DocumentArray, parameters: Times) -> None:
            for document in docs:
                document.text = (document.text or "").upper()

    module.Shout = Shouting
    monkeypatch.setitem(sys.modules, "shout", module)
    chapter = (ROOT / "docs" / "guide.md").read_text().split("## Testing")[1].split("\n## ")[0]
    said: dict[str, Any] = {"Shout": Shouting}
    for program in re.findall(r"```python\n(.*?)```", chapter, re.DOTALL):
        exec(program, said)
    said["test_shout"]()
    said["test_failure"]()
