"""The description of an executor in a flow."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ..errors import ConfigurationError

__all__ = ["ExecutorSpec"]


class ExecutorSpec(Struct, frozen=True, kw_only=True):
    """The description of an executor in a flow."""

    uses: Any
    """A class, an object of one, a function, anything that adapts to `IExecutor`, or a string: what `load` knows, or
    an executor's YAML file."""
    py_modules: tuple[str, ...] = ()
    """Files or modules, in which a class that is named alone is looked for."""
    name: str | None = None
    """None: the class's own."""
    uses_with: dict[str, Any] = {}
    """Arguments of the constructor."""
    uses_metas: dict[str, Any] = {}
    """For the executor's ``metas``."""
    uses_requests: dict[str, str] = {}
    """Endpoints to methods' names, in place of what the marks say."""
    workspace: str | None = None
    env: dict[str, str] = {}
    """For the environment of its own process."""
    max_concurrency: int | None = None
    """Calls that its engine has at once, each replica; None: the engine's own number."""
    start_timeout: float | None = None
    """Seconds for its constructor, in its own process; None: no limit."""
    kill_after: float = 30.0
    """Seconds after its deadline that a call has to end, before its own process is killed."""
    location: str = ""
    """Where a file says this: file, line and column."""

    def at_fault(self, error: ConfigurationError) -> ConfigurationError:
        """*error* with the position in the file, if the description comes from a file."""
        return ConfigurationError(f"{self.location}: {error}") if self.location else error
