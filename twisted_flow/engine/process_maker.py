"""``engine='process'``: whether an executor can run in a process of its own, and the engine for it."""

from __future__ import annotations

import pickle
from typing import Any

from msgspec.structs import replace
from zope.interface import implementer

from ..errors import ConfigurationError
from ..executor.address import address_of
from ..executor.kinds import ClassExecutor, FunctionExecutor
from ..executor.spec import ExecutorSpec
from ..interfaces import IEngine, IEngineMaker, IExecutor
from .process import ProcessEngine

__all__ = ["ProcessEngineMaker"]


@implementer(IEngineMaker)
class ProcessEngineMaker:
    """``engine='process'``."""

    name = "process"

    def make(self, executor: IExecutor, spec: ExecutorSpec) -> IEngine:
        """See `IEngineMaker`."""
        kind: object = executor
        uses: Any
        if type(kind) is ClassExecutor:
            uses, spec = kind.owner, kind.spec
        elif type(kind) is FunctionExecutor:
            uses = kind.function
        else:
            raise ConfigurationError(
                f"{executor.name} is an object, which its own process cannot make: give its class, and uses_with="
            )
        for endpoint in executor.endpoints.values():
            if endpoint.deferred:
                raise ConfigurationError(
                    f"{executor.name}.{endpoint.method} returns a Deferred, and its own process has no reactor: "
                    "make it an async def, or say engine='inline'"
                )
        return ProcessEngine(executor.name, executor.endpoints, address_of(uses), spec, _pickled(spec, executor.name))


def _pickled(spec: ExecutorSpec, name: str) -> bytes:
    try:
        return pickle.dumps(replace(spec, uses=None))
    except Exception as error:  # an object of the user's may raise anything
        raise ConfigurationError(f"uses_with of {name} cannot be sent to its process: {error}") from error
