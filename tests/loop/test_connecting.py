"""Connecting that is cancelled, whenever that is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from twisted_flow.loop import connecting


class Made:
    """The transport of a connection that has been made."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("fails", [False, True])
def test_cancelled(turns: int, fails: bool) -> None:
    """It fails at once; also just when the connection has been made, which is closed then. Nothing is connected."""
    made, told = Made(), list[Any]()

    async def connect() -> tuple[Made, str]:
        await asyncio.sleep(0)
        if fails:
            raise ConnectionRefusedError
        return made, "protocol"

    async def run() -> bool:
        task = asyncio.create_task(connect())
        waiting: Deferred[Any] = connecting._made(task, "protocol")
        waiting.addBoth(told.append)
        for _ in range(turns):
            await asyncio.sleep(0)
        fired = waiting.called
        waiting.cancel()
        assert len(told) == 1
        for _ in range(3):
            await asyncio.sleep(0)
        return fired

    fired = asyncio.run(run())
    (outcome,) = told
    if fired:
        assert outcome == "protocol" or outcome.check(ConnectionRefusedError)
    else:
        assert outcome.check(CancelledError)
        assert made.aborted == (turns == 2 and not fails)  # it had been made by then
