"""The one path: bytes in, bytes out, and every failure an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher
from zope.interface.verify import verifyObject

from tests.support import HELLO, Dispatcher, Held
from twisted_flow.answer import Answer, Origin, answer
from twisted_flow.codec import json as codec
from twisted_flow.errors import ExecutorError, NotFound
from twisted_flow.gateway.http.problem import write_problem
from twisted_flow.interfaces import IDispatcher

ORIGIN = Origin(gateway="g", write_error=write_problem, max_depth=32)
BODY = json.dumps(HELLO | {"requestId": "r1"}).encode()


def ask(dispatcher: Any, body: bytes = BODY, **origin: Any) -> Answer:
    asked = answer(body, codec, dispatcher, Origin(gateway="g", write_error=write_problem, max_depth=32, **origin))  # type: ignore[arg-type]
    return asked.result if isinstance(asked, Deferred) else asked  # type: ignore[return-value]


class Log:
    """The lines that are logged meanwhile."""

    def __enter__(self) -> list[str]:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        return self.lines

    def observe(self, event: Any) -> None:
        from twisted.logger import formatEvent

        self.lines.append(f"{event['log_level'].name} {formatEvent(event)}")

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self.observe)


def test_success() -> None:
    """The answer carries the gateway's route before the others', and success."""
    verifyObject(IDispatcher, Dispatcher())
    told = json.loads(ask(Dispatcher()).body)
    assert [route["pod"] for route in told["routes"]] == ["gateway"]
    assert told["routes"][0]["startTime"] <= told["routes"][0]["endTime"]
    assert told["status"] == {"code": 0, "description": "", "exception": None}


def test_the_place_wins() -> None:
    """Endpoint, timeout and arrays of the place where a request comes in win over those of its body."""
    dispatcher = Dispatcher()
    ask(dispatcher, endpoint="/here", timeout=2.0, arrays="list")
    (request,) = dispatcher.requests
    assert (request.header.exec_endpoint, request.timeout, request.arrays) == ("/here", 2.0, "list")


def test_undecodable() -> None:
    """Bytes that do not parse reach nobody, and are told with an id."""
    dispatcher = Dispatcher()
    refused = ask(dispatcher, b"{")
    assert dispatcher.requests == []
    told = json.loads(refused.body)
    assert (told["status"], len(told["instance"])) == (400, 32)


def test_our_error() -> None:
    """An error of the tree is told as it is, with the request's id, and in one line of the log."""

    def fail(request: Any) -> None:
        raise NotFound("no such thing")

    with Log() as lines:
        told = json.loads(ask(Dispatcher(fail)).body)
    assert (told["title"], told["detail"], told["instance"]) == ("NotFound", "no such thing", "r1")
    assert lines == ["info request r1: NotFound: no such thing"]


def raising(request: Any) -> None:
    error = ExecutorError("executor 'x' raised ValueError")
    try:
        raise ValueError("secret 42")
    except ValueError as wrong:
        raise error from wrong


def test_executor_that_raises() -> None:
    """Its class is told, and nothing more; the log has the rest, in one line."""
    with Log() as lines:
        told = json.loads(ask(Dispatcher(raising)).body)
    assert told["detail"] == "executor 'x' raised ValueError"
    assert "secret" not in json.dumps(told)
    assert "stacks" not in told
    assert lines == ["error request r1: ExecutorError: executor 'x' raised ValueError: ValueError: secret 42"]


def test_executor_that_raises_with_debug() -> None:
    """All of it is told."""
    told = json.loads(ask(Dispatcher(raising), debug=True).body)
    assert "secret 42" in told["detail"]
    assert "in raising" in "".join(told["stacks"])


def test_any_other_error() -> None:
    """A dispatcher that breaks its promise makes an internal error, which tells nothing."""

    def broken(request: Any) -> None:
        raise KeyError("secret")

    told = json.loads(ask(Dispatcher(broken)).body)
    assert (told["status"], told["detail"]) == (500, "internal error")


def test_answer_that_cannot_travel() -> None:
    """An object of the user's in tags is the executor's error, and the log names its class."""

    def odd(request: Any) -> None:
        request.docs[0].tags["x"] = object()

    with Log() as lines:
        told = json.loads(ask(Dispatcher(odd)).body)
    assert (told["status"], told["detail"]) == (500, "the answer cannot be encoded")
    assert "objects of type object cannot travel" in lines[0]


def test_cancelling() -> None:
    """Cancelling the answer cancels the work, and does not fail."""
    held = Held()
    asked: Any = answer(BODY, codec, held, ORIGIN)  # type: ignore[arg-type]
    asked.cancel()
    assert held.cancelled == 1
    assert asked.result.error.name == "Cancelled"


@pytest.mark.parametrize("instance", ["r1"])
def test_problem_fields(instance: str) -> None:
    """A problem has the fields of RFC 9457, and ours."""
    told = json.loads(ask(Dispatcher(), b'{"requestId": "r1", "data": [{"text": 5}], "execEndpoint": "/"}').body)
    assert told["errors"] == [{"pointer": "/data/0/text", "detail": "Expected `str`, got `int`"}]
    assert told.keys() == {"type", "title", "status", "detail", "instance", "retryable", "errors"}
