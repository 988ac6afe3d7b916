"""How many streams there may be, and how long their parts may take."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from tests.streams import Streaming, Taking, texts
from tests.support import Dispatcher, request, result_of
from twisted_flow.errors import DeadlineExceeded, NotFound, QueueFull
from twisted_flow.feed import Feed
from twisted_flow.limits import Limits
from twisted_flow.policy.streams import Streams


def streams(source: Any, clock: Clock | None = None, **limits: Any) -> Any:
    return Streams(source, Limits(**limits), clock or Clock())  # type: ignore[arg-type]


class TestNumber:
    @pytest.mark.parametrize("later", [False, True])
    def test_one_too_many(self, later: bool) -> None:
        """It is refused until another one has ended, however that ends; who asks for no parts is not."""
        source = Streaming("a", later=later)
        bounded = streams(source, max_streams=2)
        asked = [bounded.dispatch(request(stream=True)) for _ in range(2)]
        with pytest.raises(QueueFull, match="2 streams") as full:
            bounded.dispatch(request(stream=True))
        assert full.value.retry_after == 1
        bounded.dispatch(request())
        if later:
            asked[0].cancel()
            asked[0].addErrback(lambda _: None)
            source.coming[1].callback(source.streams[1])
            result_of(asked[1]).parts.cancel()
        else:
            asked[0].parts.cancel()
            while asked[1].parts.pull() is not None:
                pass
        assert bounded.under_way == 0

    def test_requests_in_parts(self) -> None:
        """They count as streams do until they are answered, though their answers are whole."""
        taking = Taking()
        bounded = streams(taking, max_streams=1)
        feed = Feed(lambda taken: None, lambda: None)
        first = bounded.dispatch(request(parts=feed.parts))
        with pytest.raises(QueueFull, match="1 streams"):
            bounded.dispatch(request(parts=feed.parts))
        taking.answer()
        assert result_of(first).docs == []
        assert bounded.under_way == 0

    def test_failures(self) -> None:
        """One that fails, and an answer that is whole, count no more."""

        def fail(_: Any) -> None:
            raise NotFound("x")

        bounded = streams(Dispatcher(fail), max_streams=1)
        for _ in range(3):
            with pytest.raises(NotFound):
                bounded.dispatch(request(stream=True))
        whole = streams(Dispatcher(), max_streams=1)
        for _ in range(3):
            whole.dispatch(request(stream=True))
        assert (bounded.under_way, whole.under_way) == (0, 0)


class TestTimes:
    @pytest.mark.parametrize("later", [False, True])
    def test_the_first_part(self, later: bool) -> None:
        """It has its time from the request on; when that is over the work is cancelled."""
        clock, source = Clock(), Streaming("later", later=later)
        answer = streams(source, clock, first_part_timeout=5).dispatch(request(stream=True))
        if later:
            clock.advance(3)
            source.come()
            answer = result_of(answer)
        part = answer.parts.pull()
        clock.advance(2 if later else 5)
        assert isinstance(result_of(part).value, DeadlineExceeded)
        assert source.cancelled == 1
        assert answer.parts.over
        assert clock.getDelayedCalls() == []

    def test_the_stream_itself(self) -> None:
        """That it does not even begin is the same."""
        clock, source = Clock(), Streaming("a", later=True)
        answer = streams(source, clock, first_part_timeout=5).dispatch(request(stream=True))
        clock.advance(5)
        assert result_of(answer).value.detail == "no first part within 5 s"
        assert source.cancelled == 1

    def test_between_parts(self) -> None:
        """Each has its time from when it is asked for: a client that reads slowly ends nothing."""
        clock, source = Clock(), Streaming("a", "later", "b", "later")
        answer = streams(source, clock, first_part_timeout=1, part_timeout=5).dispatch(request(stream=True))
        assert texts(answer.parts.pull()) == ["a"]
        clock.advance(100)
        part = answer.parts.pull()
        clock.advance(4)
        source.come("late")
        assert texts(result_of(part)) == ["late"]
        assert texts(answer.parts.pull()) == ["b"]
        part = answer.parts.pull()
        clock.advance(5)
        assert result_of(part).value.detail == "no part within 5 s of the one before"
        assert source.cancelled == 1
        assert clock.getDelayedCalls() == []
