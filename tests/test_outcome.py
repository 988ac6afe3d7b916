"""What comes in parts: pulled, joined, given up, and what is held until it is over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed

from tests.streams import Streaming, texts
from tests.support import request, result_of
from twisted_flow.document import Document, DocumentArray
from twisted_flow.errors import NotFound
from twisted_flow.message import Response
from twisted_flow.outcome import collected, dispatch_whole, until_done
from twisted_flow.parts import Parts


class TestParts:
    def test_to_the_end(self) -> None:
        """Part after part, then None, and None again; it is over at the end and not before."""
        parts = Streaming("a", "b").dispatch(request()).parts
        over: list[int] = []
        parts.when_over(lambda: over.append(1))
        assert texts(parts.pull()) + texts(parts.pull()) == ["a", "b"]
        assert not parts.over
        assert not over
        assert parts.pull() is None
        assert parts.pull() is None
        assert over == [1]

    def test_failure(self) -> None:
        """A part that cannot be made ends it, at once or later."""
        for later in (False, True):
            source = Streaming("later") if later else Streaming(NotFound("x"))
            parts = source.dispatch(request()).parts
            if later:
                awaited = parts.pull()
                source.coming[0].errback(NotFound("x"))
                assert isinstance(result_of(awaited).value, NotFound)
            else:
                with pytest.raises(NotFound):
                    parts.pull()
            assert parts.over
            assert parts.pull() is None

    def test_cancelling(self) -> None:
        """It may be cancelled before, between and after, and any number of times; the work is cancelled once."""
        source = Streaming("a")
        parts = source.dispatch(request()).parts
        parts.pull()
        parts.cancel()
        parts.cancel()
        assert source.cancelled == 1
        assert parts.over
        assert parts.pull() is None
        ended = Streaming()
        parts = ended.dispatch(request()).parts
        parts.pull()
        parts.cancel()
        assert ended.cancelled == 0

    def test_cancelling_while_a_part_is_awaited(self) -> None:
        """Who awaits it is told."""
        source = Streaming("later")
        parts = source.dispatch(request()).parts
        awaited = parts.pull()
        parts.cancel()
        assert source.cancelled == 1
        assert isinstance(result_of(awaited).value, CancelledError)

    @given(st.lists(st.sampled_from(["part", "later", "fail"])), st.integers(0, 8), st.integers(0, 3))
    def test_over_once(self, plan: list[str], pulls: int, cancels: int) -> None:
        """Whatever happens in whatever order, who waits for its end is told once, and the work is cancelled at most
        once.
        """
        source = Streaming(*[NotFound("x") if each == "fail" else each for each in plan])
        parts = source.dispatch(request()).parts
        over: list[int] = []
        parts.when_over(lambda: over.append(1))
        for _ in range(pulls):
            try:
                part = parts.pull()
            except NotFound:
                continue
            if isinstance(part, Deferred):
                part.addErrback(lambda failure: None)
                if cancels % 2:
                    parts.cancel()
                else:
                    source.come("x")
        for _ in range(cancels):
            parts.cancel()
        assert len(over) == parts.over
        assert source.cancelled <= 1


class TestUntilDone:
    def test_the_three_kinds(self) -> None:
        """What is held is released when it is over: at once, when it comes, or when the last part has been pulled."""
        released: list[str] = []

        def release() -> None:
            released.append("x")

        asked = request()
        until_done(Response(asked, asked.docs, asked.groundtruths, []), release)
        assert len(released) == 1
        waiting: Deferred[Any] = Deferred()
        until_done(waiting, release)
        assert len(released) == 1
        waiting.callback(Response(asked, asked.docs, asked.groundtruths, []))
        assert len(released) == 2
        stream = Streaming("a").dispatch(asked)
        until_done(stream, release)
        stream.parts.pull()
        assert len(released) == 2
        stream.parts.pull()
        assert len(released) == 3

    def test_a_stream_that_comes_later(self) -> None:
        """It is held until the stream is over, not until it has come."""
        released: list[str] = []
        source = Streaming("a", later=True)
        outcome = until_done(source.dispatch(request()), lambda: released.append("x"))
        source.come()
        assert not released
        result_of(outcome).parts.cancel()
        assert released

    def test_failures(self) -> None:
        """A failure is an end too, and goes on."""
        released: list[str] = []
        waiting: Deferred[Any] = Deferred()
        outcome: Any = until_done(waiting, lambda: released.append("x"))
        waiting.errback(NotFound("x"))
        assert isinstance(result_of(outcome).value, NotFound)
        assert released


class TestCollected:
    @pytest.mark.parametrize("later", [False, True])
    def test_all_parts_as_one(self, later: bool) -> None:
        """Documents in their order, the routes that there are at the end, and the request's ground truths."""
        source = Streaming("a", "later", "c", later=later)
        whole: Any = collected(source.dispatch(request()))
        if later:
            source.come()
        source.come("b")
        response = result_of(whole)
        assert texts(response.docs) == ["a", "b", "c"]
        assert [route.pod for route in response.routes] == ["inner"]

    def test_at_once(self) -> None:
        """What is there at once takes no Deferred."""
        response = collected(Streaming("a", "b").dispatch(request()))
        assert type(response) is Response
        assert texts(response.docs) == ["a", "b"]

    def test_many_parts(self) -> None:
        """The stack does not grow with them, whether they are there or come by Deferreds that have fired."""
        number = 5000
        left = iter([*[DocumentArray([Document("x")]) for _ in range(number)], None])
        asked = request()
        stream = Streaming().dispatch(asked)
        stream.parts = Parts(lambda: succeed(next(left)))
        assert len(result_of(collected(stream)).docs) == number

    def test_cancelling(self) -> None:
        """Cancelling it cancels the stream."""
        source = Streaming("a", "later")
        whole: Any = collected(source.dispatch(request()))
        whole.cancel()
        assert source.cancelled == 1
        assert isinstance(result_of(whole).value, CancelledError)

    def test_failure(self) -> None:
        """A part that fails fails the whole."""
        with pytest.raises(NotFound):
            collected(Streaming("a", NotFound("x")).dispatch(request()))


class TestRequests:
    def test_whole(self) -> None:
        """Who takes a list is asked when all documents have come: those that were there first."""
        seen: list[Any] = []
        later: Deferred[Any] = Deferred()
        left = iter([DocumentArray([Document("b")]), later, None])
        dispatch_whole(request(Document("a"), parts=Parts(lambda: next(left))), seen.append)
        assert not seen
        later.callback(DocumentArray([Document("c")]))
        assert texts(seen[0].docs) == ["a", "b", "c"]
        assert seen[0].parts is None

    def test_nothing_to_wait_for(self) -> None:
        """A request with all its documents goes on as it is."""
        asked = request(Document("a"))
        seen: list[Any] = []
        dispatch_whole(asked, seen.append)
        assert seen[0] is asked
