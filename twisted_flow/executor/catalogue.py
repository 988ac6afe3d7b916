"""What a flow tells another flow that has it as an executor: its endpoints, whether it is ready, what it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec.structs import replace

from ..limits import Limits
from ..message import Parameters
from .requests import DEFAULT
from .table import Endpoint, find

__all__ = ["ASKED", "Catalogue", "Described", "any_endpoint", "catalogue_in", "elsewhere"]

ASKED = "_endpoints_"
"""The endpoint that asks: every flow answers it, in the parameters of its answer."""

_MOST = 10_000  # endpoints that are believed
_SAID = ("idempotent", "streams", "takes_parts")


class Described(Protocol):
    """What is told of an executor."""

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Its endpoints."""

    @property
    def health(self) -> str:
        """See `IEngine`."""


def elsewhere(name: str, summary: str = "", **said: bool) -> Endpoint:
    """An endpoint of a flow that is elsewhere.

    :param said: those of `_SAID` that hold for it.
    """
    return replace(Endpoint(name, name, ("docs",), blocking=False, summary=summary), **said)


class Catalogue:
    """See the module.

    :param endpoints: None: nobody knows, and any request may be sent.
    :param ready: whether all executors are ready.
    :param max_body: bytes of a request, at most; None: nobody knows.
    :param max_in_flight: requests under way on a connection, beyond which it does not read; None: nobody knows.
    """

    def __init__(
        self,
        endpoints: dict[str, Endpoint] | None,
        ready: bool = True,
        max_body: int | None = None,
        max_in_flight: int | None = None,
    ) -> None:
        self.endpoints, self.ready = endpoints, ready
        self.max_body, self.max_in_flight = max_body, max_in_flight

    @classmethod
    def of(cls, executors: Iterable[Described], limits: Limits) -> Catalogue:
        """That of a flow: an endpoint may be called again if that holds for all executors that have it; for its parts,
        both ways, one that knows them is enough.
        """
        known = list(executors)
        endpoints = {}
        for name in {name for each in known for name in each.endpoints}:
            having = [found for each in known if (found := find(each.endpoints, name)) is not None]
            summary = next(filter(None, (each.summary for each in having)), "")
            endpoints[name] = elsewhere(
                name,
                summary,
                idempotent=all(each.idempotent for each in having),
                streams=any(each.streams for each in having),
                takes_parts=any(each.takes_parts for each in having),
            )
        ready = all(each.health == "ready" for each in known)
        return cls(endpoints, ready, limits.max_body, limits.max_in_flight)

    def told(self) -> Parameters:
        """As the parameters of an answer."""
        endpoints = {
            name: {"summary": each.summary, **{said: getattr(each, said) for said in _SAID}}
            for name, each in sorted((self.endpoints or {}).items())
        }
        return {
            "endpoints": endpoints,
            "ready": self.ready,
            "max_body": self.max_body,
            "max_in_flight": self.max_in_flight,
        }


def catalogue_in(parameters: Parameters) -> Catalogue:
    """The catalogue in the *parameters* of an answer; a server that knows of none tells nothing there."""
    told = parameters.get("endpoints")
    if not isinstance(told, dict) or len(told) > _MOST:
        return Catalogue(None)
    endpoints = {}
    for name, said in told.items():
        if isinstance(said, dict):
            holds = {each: said.get(each) is True for each in _SAID}
            endpoints[name] = elsewhere(name, str(said.get("summary", "")), **holds)
    ready = parameters.get("ready") is not False
    return Catalogue(endpoints, ready, _count(parameters, "max_body"), _count(parameters, "max_in_flight"))


def _count(parameters: Parameters, name: str) -> int | None:
    told = parameters.get(name)
    return told if type(told) is int and told > 0 else None


def any_endpoint() -> dict[str, Endpoint]:
    """The endpoints of a flow of which none is known."""
    return {DEFAULT: elsewhere(DEFAULT)}
