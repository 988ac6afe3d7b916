"""Where the time of a small request goes, station by station: microseconds, the least of three rounds."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from twisted_flow.answer import Entry, Gateway, answer
from twisted_flow.codec import json
from twisted_flow.document import DocumentArray
from twisted_flow.engine.inline import InlineEngine
from twisted_flow.executor.component import component
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.gateway.buffered import Buffered
from twisted_flow.gateway.connections import Connections
from twisted_flow.gateway.ending import Ending
from twisted_flow.gateway.http.action import Action
from twisted_flow.gateway.http.lane import Lane
from twisted_flow.gateway.http.origin import Origins
from twisted_flow.gateway.http.plain_heads import PlainHeads
from twisted_flow.gateway.http.problem import write_problem
from twisted_flow.gateway.http.refusal import Refusals
from twisted_flow.graph.dispatch import FlowDispatcher
from twisted_flow.graph.node import Node
from twisted_flow.limits import Limits
from twisted_flow.message import Response
from twisted_flow.policy.admission import Admission
from twisted_flow.policy.deadline import Deadline
from twisted_flow.readiness import Readiness
from twisted_flow.telemetry.numbers import Numbers

BODY = b'{"data": [{"text": "hello world"}],"execEndpoint": "/index"}'
HEAD = b"POST /post HTTP/1.1\r\nHost: flow.invalid\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
ROUNDS, TIMES = 3, 30_000


def upper(docs: DocumentArray, **kwargs: Any) -> None:
    """The user's function."""
    for document in docs:
        if document.content_type == "text":
            document.text = document.text.upper()


class Nowhere:
    """A transport that keeps nothing."""

    def write(self, data: bytes) -> None:
        """Drop it."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Forget it."""


def show(name: str, function: Callable[[], Any]) -> None:
    """Time *function*."""
    print(f"{min(timeit.repeat(function, number=TIMES, repeat=ROUNDS)) / TIMES * 1e6:8.2f}  {name}")


def main() -> None:
    """Time all stations."""
    request = json.decode_request(BODY, None, Limits())
    engine = InlineEngine(component(ExecutorSpec(uses=upper)))
    engine.start()
    admission = Admission(engine, 1024)
    flow = FlowDispatcher([Node("executor0", engine.endpoints, admission)])
    dispatcher = Deadline(flow, None, Clock())
    gateway = Gateway(id="0" * 32, protocol="http", limits=Limits())
    entry = Entry(gateway=gateway, write_error=write_problem)
    response = Response(request, request.docs, request.groundtruths, [])
    post = Action(lambda body, head, caller: answer(body, json, dispatcher, entry))  # type: ignore[arg-type]
    lane = Lane(
        PlainHeads({(b"POST", b"/post"): post}, Limits()),
        Connections(Clock(), Buffered(2**30), Ending(Numbers()), Readiness()),
        Refusals(Origins(False), entry),
        lambda transport, data, whole: None,
    )
    lane.makeConnection(Nowhere())  # type: ignore[no-untyped-call]
    raw = HEAD % len(BODY) + BODY
    show("decode", lambda: json.decode_request(BODY, None, Limits()))
    show("the user's function", lambda: upper(request.docs))
    show("… in its engine", lambda: engine.dispatch(request))
    show("… behind admission", lambda: admission.dispatch(request))
    show("… as a flow, with routes", lambda: flow.dispatch(request))
    show("… with a deadline", lambda: dispatcher.dispatch(request))
    show("encode", lambda: json.encode_response(response, Limits()))
    show("the whole path, bytes to bytes", lambda: answer(BODY, json, dispatcher, entry))  # type: ignore[arg-type]
    show("the same through the lane", lambda: lane.dataReceived(raw))


if __name__ == "__main__":
    main()
