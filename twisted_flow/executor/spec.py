"""The description of an executor in a flow."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ..errors import ConfigurationError
from .batching import Batching
from .requests import ANY_OTHER

__all__ = ["MOST_COPIES", "ExecutorSpec", "Secret"]

MOST_COPIES = 10_000
"""More replicas, or calls at once, are a mistake."""

MOST_RETRIES = 100
"""The same of retries."""


class Secret(str):
    """A text that is not shown where it is printed as a part of something."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


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
    """Calls that its engine has at once, for each replica; None: the engine's own number."""
    start_timeout: float | None = None
    """Seconds for its constructor, in its own process; None: no limit."""
    kill_after: float = 30.0
    """Seconds after its deadline that a call has to end, before its own process is killed."""
    max_collected: int = 64 * 2**20
    """Bytes that its generators may make for an answer in one piece."""
    replicas: int = 1
    """Engines with an object each, between which calls are shared."""
    shards: int = 1
    """The same, where each holds a part of the data; see `polling`."""
    polling: str | dict[str, str] = "any"
    """Whether a call goes to 'any' or to 'all' of the shards; for each endpoint, where '*' stands for all others."""
    devices: tuple[str, ...] = ()
    """GPUs, one for each copy in turn, of a process of its own."""
    timeout: float | None = None
    """Seconds for a call, waiting included, beside what the request says."""
    batch: dict[str, Batching] = {}
    """How requests share calls, by endpoint, where '*' stands for all others; beside what `dynamic_batching` says."""
    retries: int = 0
    """How often a call that failed is repeated, of an endpoint that is idempotent."""
    host: tuple[str, ...] = ()
    """Addresses of a flow that is elsewhere, which stands for the executor: 'grpc://host:port'."""
    endpoints: tuple[str, ...] = ()
    """Of that flow; (): it is asked."""
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    token: Secret | None = None
    """What is shown to it: see `security.access.access`."""
    shard_id: int = 0
    replica_id: int = 0
    """Of the engine that is made of this."""
    location: str = ""
    """Where a file says this: file, line and column."""

    @property
    def label(self) -> str:
        """The executor's name, and its numbers where there are several."""
        numbers = [str(n) for n, most in ((self.shard_id, self.shards), (self.replica_id, self.replicas)) if most > 1]
        return "/".join([self.name or "", *numbers])

    @property
    def polled(self) -> dict[str, str]:
        """`polling` by endpoint."""
        return {ANY_OTHER: self.polling} if isinstance(self.polling, str) else dict(self.polling)

    def checked(self) -> ExecutorSpec:
        """Itself, if its numbers make sense.

        :raises ConfigurationError: where they do not.
        """
        if self.host:
            for name in _OF_ITS_OWN:
                if getattr(self, name) != _NOTHING[name]:
                    raise ConfigurationError(
                        f"{self.name}: host= means a flow elsewhere, which has executors of its own: leave out {name}="
                    )
        else:
            for name in _OF_A_FLOW_ELSEWHERE:
                if getattr(self, name) != _NOTHING[name]:
                    raise ConfigurationError(f"{self.name}: {name}= is for a flow that is elsewhere: say its host= too")
        for name in ("replicas", "shards", "max_concurrency"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= MOST_COPIES):
                raise ConfigurationError(f"{self.name}: {name}={value!r}: it is a number from 1 to {MOST_COPIES}")
        if type(self.retries) is not int or not 0 <= self.retries <= MOST_RETRIES:
            raise ConfigurationError(f"{self.name}: retries={self.retries!r}: it is a number from 0 to {MOST_RETRIES}")
        for value in self.polled.values():
            if value not in ("any", "all"):
                raise ConfigurationError(f"{self.name}: polling={value!r}: it is 'any' or 'all', or a dict of these")
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise ConfigurationError(f"{self.name}: timeout={self.timeout!r}: it is a number of seconds")
        return self

    def at_fault(self, error: ConfigurationError) -> ConfigurationError:
        """*error* with the position in the file, if the description comes from a file."""
        if not self.location or str(error).startswith(f"{self.location}: "):
            return error
        return ConfigurationError(f"{self.location}: {error}")


_OF_ITS_OWN = ("uses", "py_modules", "uses_with", "uses_metas", "uses_requests", "env", "replicas", "shards", "devices")
_OF_A_FLOW_ELSEWHERE = ("endpoints", "ca", "cert", "key", "token")
_NOTHING = msgspec.structs.asdict(ExecutorSpec(uses=None))
