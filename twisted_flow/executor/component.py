"""An executor as a component: whatever a user hands to ``uses=``, adapted to `IExecutor`."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import classImplements

from ..errors import ConfigurationError
from ..interfaces import IExecutor
from .kinds import ClassExecutor, FunctionExecutor, ObjectExecutor, executor_of
from .load import load
from .spec import ExecutorSpec

__all__ = ["component"]

# Declared here, as a child process does without interfaces:
classImplements(ClassExecutor, IExecutor)
classImplements(FunctionExecutor, IExecutor)
classImplements(ObjectExecutor, IExecutor)


def component(spec: ExecutorSpec) -> IExecutor:
    """The executor that *spec* describes; its class is imported, its object not made yet.

    :raises ConfigurationError: if there is no such executor.
    """
    try:
        return _component(spec)
    except ConfigurationError as error:
        raise spec.at_fault(error) from error.__cause__


def _component(spec: ExecutorSpec) -> IExecutor:
    if not isinstance(spec.uses_with, Mapping):
        raise ConfigurationError(f"uses_with is a dict of arguments, not {spec.uses_with!r}")
    if isinstance(spec.uses, dict) or (
        isinstance(spec.uses, str) and ("\n" in spec.uses or spec.uses.endswith((".yml", ".yaml")))
    ):
        from .file import from_file  # YAML only for those who use it

        spec = from_file(spec)
    uses = load(spec.uses, spec.py_modules) if isinstance(spec.uses, str) else spec.uses
    adapted: IExecutor | None = IExecutor(uses, None)
    return executor_of(uses, spec) if adapted is None else adapted
