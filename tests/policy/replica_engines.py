"""Engines whose health, window and answers are what a test says."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from tests.support import Held
from twisted_flow.errors import Unavailable
from twisted_flow.executor.table import Endpoint
from twisted_flow.generation import Generation
from twisted_flow.interfaces import IChanging, IEngine
from twisted_flow.message import Request, Response


@implementer(IEngine, IChanging)
class Engine(Held):
    """Answers nothing until told; its health and its window are what a test says."""

    name = "e"
    endpoints = {"/default": Endpoint("/default", "f", ("docs",), blocking=True)}

    def __init__(self, window: int = 2, health: str = "ready") -> None:
        super().__init__()
        self.window, self.health = window, health
        self.generation = Generation()
        self.watch = self.generation.watch
        self.done: list[str] = []

    def dispatch(self, request: Request) -> Deferred[Response]:
        if self.health not in ("ready", "unhealthy"):
            raise Unavailable(f"is {self.health}")
        return super().dispatch(request)

    def become(self, health: str, window: int) -> None:
        self.health, self.window = health, window
        self.generation.end()

    def start(self) -> Deferred[None]:
        self.done.append("start")
        return succeed(None)

    def stop(self) -> Deferred[None]:
        self.done.append("stop")
        return succeed(None)

    def check(self, timeout: float, stuck_after: float | None) -> Deferred[None]:
        self.done.append("check")
        return succeed(None)
