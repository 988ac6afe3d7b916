"""Shards: any of them, or all, whose answers are joined."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from tests.policy.replica_engines import Engine
from tests.support import Log, request, result_of
from twisted_flow import Document, DocumentArray
from twisted_flow.errors import NotFound, Unavailable
from twisted_flow.executor.table import Endpoint
from twisted_flow.interfaces import IEngine
from twisted_flow.message import Response
from twisted_flow.policy.shards import Shards


class Shard(Engine):
    """Has two endpoints, and answers by what a test hands it."""

    endpoints = {name: Endpoint(name, "f", ("docs",), blocking=True) for name in ("/search", "/index")}


def shards(polling: dict[str, str], number: int = 3) -> tuple[Any, list[Shard]]:
    engines = [Shard() for _ in range(number)]
    made = Shards(engines, polling)
    assert verifyObject(IEngine, made)
    return made, engines


def asked(engines: list[Shard]) -> list[int]:
    return [len(engine.held) for engine in engines]


def test_polling() -> None:
    """Each endpoint goes to any or to all, as it says; '*' stands for the others."""
    many, engines = shards({"/search": "all", "*": "any"})
    many.dispatch(request(Document("a"), endpoint="/index"))
    assert sorted(asked(engines)) == [0, 0, 1]
    many.dispatch(request(Document("a"), endpoint="/search"))
    assert sorted(asked(engines)) == [1, 1, 2]
    many.dispatch(request(Document("a"), endpoint="/other"))  # which none of them has
    assert sum(asked(engines)) == 5
    everything, engines = shards({"*": "all"})
    everything.dispatch(request(Document("a"), endpoint="/index"))
    assert asked(engines) == [1, 1, 1]


def test_joined() -> None:
    """What they made of their copies is joined by id, in the order of the shards, whichever answers first."""
    many, engines = shards({"*": "all"})
    original = Document("a", id="1")
    answer = many.dispatch(request(original, endpoint="/search", groundtruths=DocumentArray([Document(id="t")])))
    for number in (2, 0, 1):
        docs = engines[number].requests[0].docs
        assert docs[0] is not original or number == 0
        docs[0].matches.append(Document(f"m{number}", id=f"m{number}"))
        docs[0].tags[f"s{number}"] = number
        docs.append(Document(f"new{number}", id=f"n{number}"))
        engines[number].release()
    response = result_of(answer)
    assert type(response) is Response
    assert [each.id for each in response.docs] == ["1", "n0", "n1", "n2"]
    assert [each.id for each in response.docs[0].matches] == ["m0", "m1", "m2"]
    assert response.docs[0].tags == {"s0": 0, "s1": 1, "s2": 2}
    assert [each.id for each in response.groundtruths] == ["t"]


def test_conflict() -> None:
    """What two changed in two ways is the first shard's, with one line in the log."""
    many, engines = shards({"*": "all"}, 2)
    answer = many.dispatch(request(Document("a", id="1"), endpoint="/search"))
    with Log() as lines:
        for number in (1, 0):
            engines[number].requests[0].docs[0].text = f"by {number}"
            engines[number].release()
    assert result_of(answer).docs[0].text == "by 0"
    (line,) = lines
    assert "more than one shard of e: keeping the first shard's" in line


def test_failure() -> None:
    """The first that fails is the answer; the others are cancelled."""
    many, engines = shards({"*": "all"})
    answer = many.dispatch(request(Document("a"), endpoint="/search"))
    engines[1].fail(NotFound("x"))
    assert isinstance(result_of(answer).value, NotFound)
    assert [engine.cancelled for engine in engines] == [1, 0, 1]


def test_cancelling() -> None:
    """Cancelling reaches all."""
    many, engines = shards({"*": "all"})
    answer = many.dispatch(request(Document("a"), endpoint="/search"))
    answer.addErrback(lambda _: None)
    answer.cancel()
    assert [engine.cancelled for engine in engines] == [1, 1, 1]


def test_one_that_is_down() -> None:
    """Where all are needed one that does not serve is an answer of its own, and the set is not ready."""
    many, engines = shards({"/search": "all", "*": "any"})
    engines[1].become("failed", 2)
    assert many.health == "unhealthy"
    answer = many.dispatch(request(Document("a"), endpoint="/search"))
    assert isinstance(result_of(answer).value, Unavailable)
    engines[1].become("restarting", 0)
    assert many.window == 0
    assert shards({"*": "any"})[0].health == "ready"


@pytest.mark.parametrize("polling", ["any", "all"])
def test_window(polling: str) -> None:
    """Of all together, or of the one that takes the fewest."""
    many, engines = shards({"*": polling})
    engines[0].become("ready", 1)
    assert many.window == (5 if polling == "any" else 1)
