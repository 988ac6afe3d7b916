"""The engine of an executor, or those of its replicas and shards, as one."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec.structs import replace

from ..engine.choose import make_engine
from ..errors import ConfigurationError
from ..executor.spec import ExecutorSpec
from ..interfaces import IEngine
from ..limits import Limits
from ..policy.replicas import Replicas
from ..policy.shards import Shards
from .remotes import remote_engine

__all__ = ["engine_of"]

_DEVICES = "CUDA_VISIBLE_DEVICES"


def engine_of(spec: ExecutorSpec, word: str | None, limits: Limits) -> IEngine:
    """The engine for *spec*: as many as it says, of the kind that *word* says (see `make_engine`), as one.

    :raises ConfigurationError: one line, where that cannot be.
    """
    try:
        return _engine_of(spec, word, limits)
    except ConfigurationError as error:
        raise spec.at_fault(error) from error.__cause__


def _engine_of(spec: ExecutorSpec, word: str | None, limits: Limits) -> IEngine:
    if spec.host:
        return remote_engine(spec)
    if (spec.env or spec.devices) and word != "process":
        raise ConfigurationError(
            f"{spec.name}: env= and devices= are for a process of its own: say engine='process' too"
        )
    spec = replace(
        spec, kill_after=limits.kill_after, start_timeout=limits.start_timeout, max_collected=limits.max_body
    )
    if spec.replicas == spec.shards == 1:
        return make_engine(_copy(spec, 0, 0), word)
    if not isinstance(spec.uses, str | dict | type) and not callable(spec.uses):
        raise ConfigurationError(f"{spec.name}: an object cannot be copied: give its class, and uses_with=")
    shards = [
        _set([make_engine(_copy(spec, shard, number), word) for number in range(spec.replicas)])
        for shard in range(spec.shards)
    ]
    first = shards[0]
    if not any(endpoint.blocking for endpoint in first.endpoints.values()) and word in (None, "inline"):
        raise ConfigurationError(
            f"{spec.name}: its methods all run on the event loop, beside each other, so that copies gain nothing: "
            "say engine='process', or leave out replicas= and shards="
        )
    if word == "inline":
        raise ConfigurationError(f"{spec.name}: copies need threads or processes: engine='thread' or 'process'")
    return first if spec.shards == 1 else Shards(shards, spec.polled)


def _set(engines: Sequence[IEngine]) -> IEngine:
    return engines[0] if len(engines) == 1 else Replicas(engines)


def _copy(spec: ExecutorSpec, shard: int, replica: int) -> ExecutorSpec:
    """What one of the copies is made of; with a device, unless the user's environment names some."""
    spec = replace(spec, shard_id=shard, replica_id=replica)
    if not spec.devices or _DEVICES in os.environ or _DEVICES in spec.env:
        return spec
    device = spec.devices[(shard * spec.replicas + replica) % len(spec.devices)]
    return replace(spec, env={**spec.env, _DEVICES: device})
