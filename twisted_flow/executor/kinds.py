"""The kinds of executors: a class, an object, a function. Each is opened where it will run, in a child process too."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from ..errors import ConfigurationError
from ..suggestion import nearest
from .call import Call, caller
from .collecting import bounded
from .executor import METAS, Executor
from .in_trace import in_trace
from .requests import endpoints_marked
from .spec import ExecutorSpec
from .table import Endpoint, endpoints_of, function_endpoints

__all__ = ["ClassExecutor", "FunctionExecutor", "ObjectExecutor", "executor_of"]

Calls = Mapping[str, Call]


def executor_of(uses: object, spec: ExecutorSpec) -> ClassExecutor | ObjectExecutor | FunctionExecutor:
    """The executor that *uses*, a class, an object or a function, is.

    :raises ConfigurationError: if it is none of these.
    """
    if inspect.isclass(uses):
        return ClassExecutor(uses, spec)
    if isinstance(uses, Executor) or any(
        endpoints_marked(method) for base in type(uses).__mro__ for method in vars(base).values()
    ):
        return ObjectExecutor(uses, spec)
    if callable(uses):
        return FunctionExecutor(uses, spec)
    raise ConfigurationError(
        f"uses= takes a class with @requests methods, an object of one, a function, or a string, not {uses!r}"
    )


def _hook(executor: object, name: str) -> object:
    """Call a hook that the user's class may lack."""
    return getattr(executor, name, lambda: None)()


def _check_arguments(owner: type, arguments: Any, name: str) -> None:
    known: list[str] = []
    try:
        signature = inspect.signature(owner)
        known = [
            each.name
            for each in signature.parameters.values()
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        ]
        signature.bind(**arguments)
    except TypeError as error:
        unknown = next((each for each in arguments if each not in known), "")
        near = nearest(str(unknown), known)
        raise ConfigurationError(f"uses_with of {name}: {error}{near}") from None


def _bound(executor: object, owner: type, endpoints: dict[str, Endpoint], name: str, most: int) -> Calls:
    calls = {}
    names = {name, getattr(getattr(executor, "metas", None), "name", name)}
    for name, endpoint in endpoints.items():
        method = getattr(executor, endpoint.method)
        if _function(method) is not _function(getattr(owner, endpoint.method)):  # another than was described
            endpoint = endpoints[name] = replace(endpoint, suspends=True)
        calls[name] = _call(method, endpoint, names, most)
    return calls


def _call(method: Callable[..., object], endpoint: Endpoint, names: Collection[str], most: int) -> Call:
    call = in_trace(caller(method, endpoint, names))
    return bounded(call, most) if endpoint.streams else call


def _function(method: object) -> object:
    return getattr(method, "__func__", method)


class ObjectExecutor:
    """An object that is there already. It is closed like any other."""

    def __init__(self, executor: object, spec: ExecutorSpec) -> None:
        self.executor = executor
        owner = executor if inspect.isclass(executor) else type(executor)
        self.name, self.owner, self.most = spec.name or owner.__name__, owner, spec.max_collected
        self.endpoints = endpoints_of(owner, spec.uses_requests)

    def open(self) -> Calls:
        """See `IExecutor`."""
        return _bound(self.executor, self.owner, self.endpoints, self.name, self.most)

    def warm_up(self) -> object:
        """See `IExecutor`."""
        return _hook(self.executor, "warm_up")

    def check_health(self) -> object:
        """See `IExecutor`."""
        return _hook(self.executor, "check_health")

    def close(self) -> object:
        """See `IExecutor`."""
        return _hook(self.executor, "close")


class ClassExecutor:
    """A class, of which an object is made when it is opened."""

    def __init__(self, owner: type, spec: ExecutorSpec) -> None:
        self.owner, self.spec = owner, spec
        self.name = spec.name or owner.__name__
        self.endpoints = endpoints_of(owner, spec.uses_requests)
        self.executor: Any = None
        _check_arguments(owner, spec.uses_with, self.name)

    def open(self) -> Calls:
        """See `IExecutor`."""
        owner: Any = self.owner
        self.executor = executor = owner.__new__(owner)
        if isinstance(executor, Executor):  # known before the constructor runs, whether or not it calls ours
            metas = {**METAS, "name": owner.__name__, "workspace": self.spec.workspace or "", **self.spec.uses_metas}
            executor.metas = SimpleNamespace(**metas)
            executor.requests = {name: endpoint.method for name, endpoint in self.endpoints.items()}
            executor.runtime_args = SimpleNamespace(
                name=self.name,
                workspace=metas["workspace"],
                shard_id=self.spec.shard_id,
                replica_id=self.spec.replica_id,
                shards=self.spec.shards,
                replicas=self.spec.replicas,
            )
        executor.__init__(**self.spec.uses_with)
        return _bound(executor, owner, self.endpoints, self.name, self.spec.max_collected)

    def warm_up(self) -> object:
        """See `IExecutor`."""
        return _hook(self.executor, "warm_up")

    def check_health(self) -> object:
        """See `IExecutor`."""
        return _hook(self.executor, "check_health")

    def close(self) -> object:
        """See `IExecutor`."""
        executor, self.executor = self.executor, None
        return _hook(executor, "close")


class FunctionExecutor:
    """A function, which answers every endpoint."""

    def __init__(self, function: Callable[..., object], spec: ExecutorSpec) -> None:
        self.function, self.most = function, spec.max_collected
        self.name: str = spec.name or str(getattr(function, "__name__", "function"))
        self.endpoints = function_endpoints(function)

    def open(self) -> Calls:
        """See `IExecutor`."""
        return {name: _call(self.function, each, (self.name,), self.most) for name, each in self.endpoints.items()}

    def warm_up(self) -> None:
        """See `IExecutor`: a function needs none."""

    def check_health(self) -> None:
        """See `IExecutor`: a function has none."""

    def close(self) -> None:
        """See `IExecutor`: there is nothing to close."""
