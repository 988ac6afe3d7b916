"""The way of a request through a flow's executors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import Dispatcher, Held, asking, request
from twisted_flow import Document
from twisted_flow.errors import NotFound, ValidationError
from twisted_flow.executor.table import Endpoint
from twisted_flow.graph.dispatch import FlowDispatcher
from twisted_flow.graph.node import Node

ANY = Endpoint("/default", "f", ("docs",), blocking=False)


def appending(mark: str) -> Dispatcher:
    def work(asked: Any) -> None:
        for document in asked.docs:
            document.text = (document.text or "") + mark

    return Dispatcher(work)


def flow(*endpoints: tuple[str, ...]) -> FlowDispatcher:
    return FlowDispatcher(
        [Node(f"e{n}", dict.fromkeys(names, ANY), appending(str(n))) for n, names in enumerate(endpoints)]  # type: ignore[arg-type]
    )


def went(dispatcher: FlowDispatcher, **asked: Any) -> tuple[str | None, list[str]]:
    response: Any = asking(dispatcher, request(Document(""), **asked)).result
    return response.docs[0].text, [route.pod for route in response.routes]


def test_no_executor() -> None:
    """Documents come back as they are."""
    assert went(flow()) == ("", [])


def test_chain() -> None:
    """One executor after another, each with its route."""
    assert went(flow(("/a",), ("/default",), ("/a",)), endpoint="/a") == ("012", ["e0", "e1", "e2"])


def test_endpoint() -> None:
    """Who has neither the endpoint nor a default is passed by."""
    chain = flow(("/a",), ("/b", "/default"), ("/c",))
    assert went(chain, endpoint="/a") == ("01", ["e0", "e1"])
    assert went(chain, endpoint="/zzz") == ("1", ["e1"])
    assert went(flow(("/a",)), endpoint="/b") == ("", [])


def test_target() -> None:
    """A regular expression picks executors; one that matches none lets documents through; a wrong one is told."""
    chain = flow(("/default",), ("/default",), ("/default",))
    assert went(chain, target="e[02]") == ("02", ["e0", "e2"])
    assert went(chain, target="nobody") == ("", [])
    wrong = asking(chain, request(target="("))
    failure = wrong.result
    wrong.addErrback(lambda _: None)
    assert isinstance(failure.value, ValidationError)  # type: ignore[union-attr]
    assert failure.value.errors[0].pointer == "/targetPeapod"  # type: ignore[union-attr]


def test_asked_is_what_was_asked() -> None:
    """The response belongs to the request as it came in."""
    asked = request(Document(""), endpoint="/a")
    response: Any = asking(flow(("/a",), ("/a",)), asked).result
    assert response.request is asked


def test_failure_ends_the_way() -> None:
    """What fails at one executor does not reach the next; cancelling reaches where the request is."""
    held, after = Held(), Dispatcher()
    chain = FlowDispatcher([Node("a", {"/default": ANY}, held), Node("b", {"/default": ANY}, after)])  # type: ignore[arg-type]
    first, second = asking(chain, request()), asking(chain, request())
    held.fail(NotFound("x"), 0)
    first.addErrback(lambda failure: failure.trap(NotFound))
    second.addErrback(lambda failure: None)
    second.cancel()
    assert held.cancelled == 1
    assert after.requests == []


def test_ways_are_bounded() -> None:
    """Whoever asks for thousands of endpoints does not fill the memory."""
    chain = flow(("/default",))
    for n in range(3000):
        asking(chain, request(endpoint=f"/{n}"))
    assert len(chain._ways) <= 1000


@pytest.mark.parametrize("docs", [0, 1, 3])
def test_any_number_of_documents(docs: int) -> None:
    """A request without documents goes the same way."""
    response: Any = asking(flow(("/default",)), request(*[Document("x") for _ in range(docs)])).result
    assert response.docs.texts == ["x0"] * docs
