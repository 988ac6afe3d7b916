"""Results that are there already."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed

from twisted_flow.ready import result_of


def test_result_of() -> None:
    """A result that is there is told; one that is still to come, has failed, or waits for another is not."""
    waiting: Deferred[str] = Deferred()
    assert result_of(succeed("a")) == "a"
    assert result_of(waiting) is None
    failed = fail(ValueError())
    assert result_of(failed) is None
    failed.addErrback(lambda failure: None)
    behind = succeed("a").addCallback(lambda result: waiting)
    assert result_of(behind) is None
    waiting.callback("b")
    assert result_of(behind) == "b"
