"""The one path: bytes in, bytes out, and every failure an answer."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import grpc
import pytest
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.support import HELLO, Dispatcher, Held, Log, entry
from twisted_flow.answer import Answer, answer
from twisted_flow.codec import json as codec
from twisted_flow.codec import protobuf
from twisted_flow.errors import ExecutorError, FlowError, NotFound, Reject
from twisted_flow.executor.call import error_of
from twisted_flow.gateway.failure import error_writer
from twisted_flow.gateway.http.problem import write_problem
from twisted_flow.interfaces import IDispatcher

ENTRY = entry()
BODY = json.dumps(HELLO | {"requestId": "r1"}).encode()


def ask(dispatcher: Any, body: bytes = BODY, **origin: Any) -> Answer:
    asked = answer(body, codec, dispatcher, entry(**origin))  # type: ignore[arg-type]
    return asked.result if isinstance(asked, Deferred) else asked  # type: ignore[return-value]


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
    """Its class is told, and nothing more; the log has the rest, with the place."""
    with Log() as lines:
        told = json.loads(ask(Dispatcher(raising)).body)
    assert told["detail"] == "executor 'x' raised ValueError"
    assert "secret" not in json.dumps(told)
    assert "stacks" not in told
    (line,) = lines
    first, *rest = line.splitlines()
    assert first == "error request r1: ExecutorError: executor 'x' raised ValueError"
    assert "test_answer.py" in rest[1]
    assert rest[-1] == "ValueError: secret 42"


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
    assert (told["status"], told["detail"]) == (
        500,
        "the answer cannot be encoded: /data/docs/0/tags/x: an object of the class object cannot be said in JSON",
    )
    assert told["errors"][0]["pointer"] == "/data/docs/0/tags/x"
    assert "an object of the class object cannot be said in JSON" in lines[0]


def test_cancelling() -> None:
    """Cancelling the answer cancels the work, and does not fail."""
    held = Held()
    asked: Any = answer(BODY, codec, held, ENTRY)  # type: ignore[arg-type]
    asked.cancel()
    assert held.cancelled == 1
    assert asked.result.error.name == "Cancelled"


@pytest.mark.parametrize("instance", ["r1"])
def test_problem_fields(instance: str) -> None:
    """A problem has the fields of RFC 9457, and ours."""
    told = json.loads(ask(Dispatcher(), b'{"requestId": "r1", "data": [{"text": 5}], "execEndpoint": "/"}').body)
    assert told["errors"] == [{"pointer": "/data/0/text", "detail": "Expected `str`, got `int`"}]
    assert told.keys() == {"type", "title", "status", "detail", "instance", "retryable", "errors"}


@pytest.mark.parametrize(
    "body", [b"{" + b" " * 1000, b'{"data": [{"x": "y" ', BODY], ids=["blanks", "cut off", "a failure"]
)
def test_a_refusal_keeps_nothing_of_the_body(body: bytes) -> None:
    """What was refused, or failed, is not held by the error that tells so: not until the collector comes by."""

    def fails(asked: Any) -> None:
        big = asked.docs[0].text * 2
        raise error_of(ValueError(f"{len(big)}"), "e") from KeyError(len(asked.docs))

    gc.disable()
    try:
        payload = bytearray(body)
        before = sys.getrefcount(frozen := bytes(payload))
        answers = [ask(Dispatcher(fails), frozen) for _ in range(3)]
        assert sys.getrefcount(frozen) == before
        assert all(each.error is not None and each.error.__traceback__ is None for each in answers)
    finally:
        gc.enable()


def odd(**attributes: Any) -> FlowError:
    error = NotFound("odd")
    vars(error).update(attributes)
    return error


HARD = {
    "a lone surrogate": lambda: Reject("NotFound", "no caf\udce9.png"),
    "no text": lambda: Reject("NotFound", 5),  # type: ignore[arg-type]
    "nothing to tell": lambda: Reject("QueueFull", "", retry_after=0),
    "its text fails": type("Mute", (Exception,), {"__str__": lambda self: 1 / 0}),
    "generators' end": GeneratorExit,
    "an end": SystemExit,
    "iterators' end": lambda: StopIteration(3),
    "a surrogate in what it raised": lambda: ValueError("\udce9"),
    "a status that is none": lambda: odd(http_status=204),
    "a gRPC status that is none": lambda: odd(grpc_status="NO"),
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", HARD)
def test_whatever_is_raised_is_an_answer(name: str, debug: bool) -> None:
    """No exception of a user's code is without an answer, as a problem or as a status."""

    def fails(asked: Any) -> None:
        raise error_of(HARD[name](), "e")

    for write in (write_problem, error_writer(codec, "g"), error_writer(protobuf, "g")):  # type: ignore[arg-type]
        origin = entry(write, debug=debug)
        told = answer(BODY, codec, Dispatcher(fails), origin)  # type: ignore[arg-type]
        assert type(told) is Answer
        assert told.error is not None
        assert told.body
        assert 400 <= told.error.http_status <= 599
        assert told.error.grpc_status in grpc.StatusCode.__members__


@pytest.mark.parametrize("given", [float("nan"), float("inf"), -1, 1e300, "soon", True, b"1"])
def test_errors_are_valid_when_they_are_made(given: Any) -> None:
    """A time to wait that no protocol can tell is refused where it is written."""
    with pytest.raises((TypeError, ValueError), match="retry_after"):
        Reject("QueueFull", "x", retry_after=given)


def test_the_log_cannot_be_forged() -> None:
    """What a caller names is one short line in the log, without line ends and without escape sequences."""
    with Log() as lines:
        ask(Dispatcher(), json.dumps(HELLO | {"requestId": "a\r\nINFO all is well\x1b[2J", "data": 5}).encode())
        ask(Dispatcher(), json.dumps({"execEndpoint": "/x\n", "k" * 100_000: 1, "requestId": "ü"}).encode())
    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 1500 for line in lines)
    assert "a\\r\\nINFO all is well\\x1b[2J" in lines[0]
    assert "request ü" in lines[1]
