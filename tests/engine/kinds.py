"""Every kind of engine, for the suites that hold for all of them."""

from __future__ import annotations

from typing import Any, cast

from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime

from twisted_flow.assembly.copies import engine_of
from twisted_flow.assembly.repeated import batched
from twisted_flow.engine.choose import ENGINES
from twisted_flow.executor.batching import Batching
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.interfaces import IEngine
from twisted_flow.limits import Limits

KINDS = [*sorted(ENGINES), "two threads", "two processes", "two shards", "batched thread", "batched processes"]
"""Every provider of `IEngine`, by the word that makes it: engines, and several of them as one."""
BATCHED = dict.fromkeys(["/plain", "/coroutine", "/at_once", "/generator", "/async_generator"], Batching(3, 1))
SEVERAL: dict[str, Any] = {
    "two threads": ("thread", {"replicas": 2}),
    "two processes": ("process", {"replicas": 2}),
    "two shards": ("thread", {"shards": 2, "polling": "any"}),
    "batched thread": ("thread", {"batch": BATCHED}),
    "batched processes": ("process", {"replicas": 2, "batch": BATCHED}),
}


def made(uses: Any, kind: str, **spec: Any) -> IEngine:
    word, copies = SEVERAL.get(kind, (kind, {}))
    described = ExecutorSpec(uses=uses, **{"name": "many", **spec}, **copies)
    engine = engine_of(described, word, Limits())
    described = replace(
        described, batch={name: each for name, each in described.batch.items() if name in engine.endpoints}
    )
    return batched(engine, described, cast(IReactorTime, reactor))
