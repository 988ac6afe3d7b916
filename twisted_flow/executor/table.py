"""The endpoint table of an executor's class, read once."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ..errors import ConfigurationError
from ..suggestion import nearest
from .arrivals import asked_for
from .batching import Batching, batching_marked
from .executor import Executor
from .parameters import type_of_parameters
from .requests import DEFAULT, endpoints_marked, exclusive_marked, idempotent_marked

__all__ = ["ALWAYS", "OFFERED", "Endpoint", "check_batched", "endpoints_of", "find", "function_endpoints"]

OFFERED = ("docs", "parameters", "groundtruths", "docs_matrix", "groundtruths_matrix", "context")
"""The arguments that a method may name."""

ALWAYS = OFFERED[:-1]
"""The arguments that a method with ``**kwargs`` gets as well."""


class Endpoint(Struct, frozen=True):
    """One endpoint of an executor."""

    name: str
    method: str
    """The name of the method that answers it."""
    wants: tuple[str, ...]
    """Which of `OFFERED` the method takes."""
    blocking: bool
    """Whether it may block, and so must not run on the event loop."""
    deferred: bool = False
    """Whether it returns a Deferred."""
    suspends: bool = True
    """False for an ``async def`` without a single ``await``, which is done when its first step is."""
    branches: Literal["joined", "apart", "both"] = "joined"
    """How it takes the branches that meet before it: joined, as ``docs``; apart, as ``docs_matrix``; or both."""
    parameters: Any = None
    """The type that ``parameters`` have to be of (see `parameters`). None: any dict."""
    summary: str = ""
    """The first line of the method's docstring."""
    idempotent: bool = False
    """Whether a call that failed may be repeated."""
    streams: bool = False
    """Whether it is a generator, whose documents reach who asks for parts as they are made."""
    exclusive: bool = False
    """Whether nothing else of the executor runs between its steps, of a ``def`` that is a generator."""
    takes_parts: bool = False
    """Whether its ``docs`` are an asynchronous iterator: documents as they come."""
    batching: Batching | None = None
    """How requests share its calls; None: each has its own."""


def endpoints_of(owner: type, renamed: Mapping[str, str] | None = None) -> dict[str, Endpoint]:
    """The endpoints of the class *owner*, those of its bases first; a method that overrides one need not be marked.

    :param renamed: endpoints to methods' names, in place of what the marks say.
    :raises ConfigurationError: if there are none, or a method asks for what there is not.
    """
    table: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        here: dict[str, str] = {}
        for attribute, method in vars(base).items():
            for name in endpoints_marked(method) or endpoints_marked(inspect.unwrap(method)):
                if name in here:
                    both = f"{here[name]} and {attribute}"
                    raise ConfigurationError(f"{base.__name__} has two methods for {name!r}: {both}")
                here[name] = attribute
        table |= here
    for name, attribute in (renamed or {}).items():
        if not callable(getattr(owner, attribute, None)):
            near = nearest(attribute, dir(owner))
            raise ConfigurationError(f"{owner.__name__} has no method {attribute!r} for {name}{near}")
        table[name] = attribute
    if not table and not issubclass(owner, Executor):  # one of ours lets documents pass
        raise ConfigurationError(f"{owner.__name__} has no method marked with @requests")
    described = {
        attribute: _described(
            attribute,
            getattr(owner, attribute),
            f"{owner.__name__}.{attribute}",
            skip=_takes_self(owner, attribute),
            marked=[vars(base)[attribute] for base in owner.__mro__ if attribute in vars(base)],
        )
        for attribute in set(table.values())
    }
    return {name: replace(described[attribute], name=name) for name, attribute in table.items()}


def _takes_self(owner: type, attribute: str) -> bool:
    return not isinstance(inspect.getattr_static(owner, attribute, None), staticmethod | classmethod)


def function_endpoints(function: Callable[..., object]) -> dict[str, Endpoint]:
    """The one endpoint of an executor that is a plain function."""
    title = getattr(function, "__name__", "function")
    return {DEFAULT: _described("__call__", function, title, skip=0, marked=[function])}


def find(endpoints: Mapping[str, object], name: str) -> Any:
    """The endpoint *name* of *endpoints*, or their default, or None."""
    return endpoints.get(name) or endpoints.get(DEFAULT)


def check_batched(endpoint: Endpoint, title: str) -> None:
    """Check that requests can share calls of *endpoint*.

    :raises ConfigurationError: if its method asks for what only one request has.
    """
    if endpoint.takes_parts:
        raise ConfigurationError(f"{title} takes the documents of one request as they come: it cannot be batched")
    for name in ("context", "docs_matrix", "groundtruths_matrix"):
        if name in endpoint.wants and (name == "context" or endpoint.branches != "joined"):
            raise ConfigurationError(f"{title} asks for {name!r}, which belongs to one request: it cannot be batched")


def _described(
    attribute: str, method: Callable[..., object], title: str, skip: int, marked: Sequence[object]
) -> Endpoint:
    """The endpoint that *method* makes, under the default's name; its first *skip* arguments are bound.

    :param marked: it, and those that it overrides: what these are marked with holds for it as well.
    """
    parameters = list(inspect.signature(method).parameters.values())[skip:]
    greedy = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for parameter in parameters:
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if not optional and (parameter not in named or parameter.name not in OFFERED):
            if parameter.kind is parameter.POSITIONAL_ONLY and parameter.name in OFFERED:
                raise ConfigurationError(f"{title} takes {parameter.name!r} by position alone: it is given by keyword")
            raise ConfigurationError(
                f"{title} asks for {parameter.name!r}; what there is, by keyword, is {', '.join(OFFERED)}"
                + nearest(parameter.name, OFFERED)
            )
    said = {parameter.name for parameter in named if parameter.name in OFFERED}
    apart = bool(said & {"docs_matrix", "groundtruths_matrix"})
    wants = said | set(ALWAYS if greedy else ()) - ({"docs", "groundtruths"} if apart else set())
    asynchronous = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    takes_parts = any(p.name == "docs" and asked_for(p.annotation) for p in named)
    if takes_parts and not asynchronous:
        raise ConfigurationError(f"{title} takes docs as an asynchronous iterator: make it an async def")
    returns = getattr(method, "__annotations__", {}).get("return", "")
    deferred = "Deferred" in (returns if isinstance(returns, str) else getattr(returns, "__name__", ""))
    endpoint = Endpoint(
        DEFAULT,
        attribute,
        tuple(name for name in OFFERED if name in wants),
        blocking=not (asynchronous or deferred),
        deferred=deferred and not asynchronous,
        suspends=takes_parts or not inspect.iscoroutinefunction(method) or _suspends(method),
        parameters=type_of_parameters(method, title) if "parameters" in said else None,
        branches="joined" if not apart else "both" if "docs" in said else "apart",
        summary=(inspect.getdoc(method) or "").partition("\n")[0],
        idempotent=any(map(idempotent_marked, marked)),
        streams=inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method),
        exclusive=any(map(exclusive_marked, marked)),
        takes_parts=takes_parts,
        batching=next(filter(None, map(batching_marked, marked)), None),
    )
    if endpoint.batching is not None:
        check_batched(endpoint, title)
    if endpoint.exclusive and not (endpoint.blocking and endpoint.streams):
        raise ConfigurationError(f"{title}: exclusive= is for generators that are a plain def")
    return endpoint


def _suspends(coroutine_function: object) -> bool:
    code = getattr(coroutine_function, "__code__", None)
    if code is None or not code.co_flags & inspect.CO_COROUTINE:  # only marked as one: who knows what it returns
        return True
    return any(step.opname == "YIELD_VALUE" for step in dis.get_instructions(code))
