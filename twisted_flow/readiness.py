"""Whether a flow can answer: one state, told alike by HTTP, gRPC, systemd and ``/status``."""

from __future__ import annotations

from collections.abc import Iterable

from .interfaces import IDescribed

__all__ = ["Readiness"]


class Readiness:
    """See the module.

    :param engines: all of which have to be ready; a set of replicas is while one of them is.
    """

    def __init__(self, engines: Iterable[IDescribed] = ()) -> None:
        self._engines = tuple(engines)
        self.stopping = False
        """Whether it has been told to stop."""

    def wanting(self) -> dict[str, str]:
        """What is not ready, and what it is instead."""
        found = {engine.name: engine.health for engine in self._engines if engine.health != "ready"}
        return {**found, "server": "stopping"} if self.stopping else found

    @property
    def ready(self) -> bool:
        """Whether nothing is wanting."""
        return not self.stopping and all(engine.health == "ready" for engine in self._engines)
