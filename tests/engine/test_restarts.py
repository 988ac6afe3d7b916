"""When a crashed process starts again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twisted_flow.engine.restarts import Restarts


def test_growing_delays() -> None:
    """Half a second, doubled with each crash in a row; after five within a minute it has failed, until it starts."""
    restarts, now = Restarts(lambda: 0.5), 100.0
    delays = []
    for _ in range(5):
        assert not restarts.failed
        delays.append(restarts.crashed(now))
        now += 1
    assert delays == [0.5, 1, 2, 4, 30]
    assert restarts.failed
    assert restarts.crashed(now + 30) == 30
    restarts.started()
    assert not restarts.failed


def test_long_after_a_crash() -> None:
    """One that ran well for long begins anew."""
    restarts = Restarts(lambda: 0.5)
    assert [restarts.crashed(now) for now in (0, 1, 2)] == [0.5, 1, 2]
    restarts.started()
    assert restarts.crashed(500) == 0.5


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_bounds(gaps: list[float], spread: float) -> None:
    """The next start is never at once, nor later than 36 s; it fails only after five crashes within a minute."""
    restarts, now, crashes = Restarts(lambda: spread), 0.0, []
    for gap in gaps:
        now += gap
        assert 0.4 <= restarts.crashed(now) <= 36
        crashes.append(now)
        often = len(crashes) >= 5 and crashes[-1] - crashes[-5] <= 60
        assert restarts.failed is often
        restarts.started()
