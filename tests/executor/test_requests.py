"""``@requests`` and the endpoint table."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, requests
from twisted_flow.executor.table import ALWAYS, endpoints_of, find


class Base(Executor):
    @requests
    def anything(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Take whatever comes.

        And more.
        """

    @requests(on="/a")
    async def a(self, docs: DocumentArray) -> None:
        pass


class Derived(Base):
    async def anything(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Overrides, unmarked."""

    @requests(on=["/b", "/c"])
    def b(self, parameters: dict[str, Any], context: Any) -> None:
        pass

    @requests(on="/d")
    def d(self, docs: DocumentArray) -> Deferred[None]:
        raise NotImplementedError


def test_table() -> None:
    """Endpoints by name; what methods want, and whether they may block, is read from them."""
    table = endpoints_of(Base)
    assert table.keys() == {"/default", "/a"}
    assert table["/default"].wants == ("docs", "parameters", "groundtruths", "docs_matrix", "groundtruths_matrix")
    assert (table["/default"].blocking, table["/a"].blocking) == (True, False)
    assert (table["/a"].wants, table["/default"].summary) == (("docs",), "Take whatever comes.")


def test_waits() -> None:
    """An ``async def`` with nothing to wait for is known; one that waits in any way is not taken for it."""

    class Waits(Executor):
        @requests(on="/nothing")
        async def nothing(self, docs: DocumentArray) -> list[Any]:
            return [document.text for document in docs]

        @requests(on="/await")
        async def awaits(self, context: Any) -> None:
            await context

        @requests(on="/for")
        async def loops(self, context: Any) -> list[Any]:
            return [item async for item in context]

        @requests(on="/with")
        async def enters(self, context: Any) -> None:
            async with context:
                pass

        @requests(on="/generator")
        async def generates(self) -> Any:
            yield

        @requests(on="/plain")
        def plain(self) -> None:
            pass

    assert [name for name, endpoint in endpoints_of(Waits).items() if not endpoint.suspends] == ["/nothing"]


class Greedy(Executor):
    @requests(on="/nothing")
    def nothing(self, docs: DocumentArray, **kwargs: Any) -> None:
        """It never looks at the rest."""

    @requests(on="/apart")
    async def apart(self, docs_matrix: list[DocumentArray], **kwargs: Any) -> None:
        """All is named."""


def test_what_kwargs_get() -> None:
    """Who takes ``**kwargs`` is given all that there is, whatever the method's code does with it."""
    wants = {name: set(endpoint.wants) for name, endpoint in endpoints_of(Greedy).items()}
    assert wants["/nothing"] == set(ALWAYS)
    assert wants["/apart"] == {"parameters", "docs_matrix", "groundtruths_matrix"}


def test_inheritance() -> None:
    """A method that overrides an endpoint is it, marked or not; several names may share one method."""
    table = endpoints_of(Derived)
    assert table.keys() == {"/default", "/a", "/b", "/c", "/d"}
    assert table["/default"].blocking is False
    assert table["/b"].method == table["/c"].method == "b"
    assert table["/b"].wants == ("parameters", "context")
    assert table["/d"].blocking is False


def test_find() -> None:
    """An endpoint, or the default, or nothing."""
    table = endpoints_of(Base)
    assert find(table, "/a").method == "a"
    assert find(table, "/zzz").method == "anything"
    assert find({}, "/a") is None


def test_renamed() -> None:
    """``uses_requests`` gives methods other endpoints."""
    assert endpoints_of(Base, {"/x": "a"})["/x"].method == "a"
    with pytest.raises(ConfigurationError, match="did you mean 'anything'"):
        endpoints_of(Base, {"/x": "anythin"})


def test_two_for_one() -> None:
    """Two methods of one class cannot answer one endpoint."""

    class Twice(Executor):
        @requests(on="/a")
        def a(self) -> None:
            pass

        @requests(on=["/a", "/b"])
        def b(self) -> None:
            pass

    with pytest.raises(ConfigurationError, match="Twice has two methods for '/a': a and b"):
        endpoints_of(Twice)


def test_mistakes() -> None:
    """What cannot work is told in one line when the class is read."""

    class Empty:
        pass

    class Asks:
        @requests
        def f(self, dosc: Any) -> None:
            pass

    with pytest.raises(ConfigurationError, match="Empty has no method marked"):
        endpoints_of(Empty)
    with pytest.raises(ConfigurationError, match="asks for 'dosc'.*did you mean 'docs'"):
        endpoints_of(Asks)
    with pytest.raises(TypeError, match=r"use @requests\(on='/a'\)"):
        requests("/a")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="on="):
        requests(on=5)  # type: ignore[call-overload]


def test_outside_a_flow() -> None:
    """An executor is a plain object: its methods can be called."""

    class Upper(Executor):
        @requests(on="/x")
        def up(self, docs: DocumentArray) -> None:
            docs[0].text = (docs[0].text or "").upper()

    from twisted_flow import Document

    docs = DocumentArray([Document("a")])
    with Upper() as executor:
        executor.up(docs)
    assert docs.texts == ["A"]


def test_generators_are_told_apart() -> None:
    """Methods whose documents may come one by one."""

    class Both(Executor):
        @requests(on="/def")
        def plain(self) -> Any:
            yield Document()

        @requests(on="/async")
        async def asynchronous(self) -> Any:
            yield Document()

        @requests(on="/whole")
        async def whole(self) -> None:
            pass

    assert {name: each.streams for name, each in endpoints_of(Both).items()} == {
        "/def": True,
        "/async": True,
        "/whole": False,
    }


@pytest.mark.parametrize("kind", ["def", "async"])
def test_exclusive_is_for_generators(kind: str) -> None:
    """Of what is no generator of a plain def it would mean nothing."""

    class Odd(Executor):
        if kind == "def":

            @requests(on="/x", exclusive=True)
            def method(self) -> None: ...

        else:

            @requests(on="/x", exclusive=True)
            async def method(self) -> Any:
                yield None

    with pytest.raises(ConfigurationError, match="exclusive= is for generators that are a plain def"):
        endpoints_of(Odd)
