"""Which endpoints of an executor share calls, and which are repeated: its methods' marks, and what its flow says."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ..errors import ConfigurationError
from ..executor.batching import Batching
from ..executor.requests import ANY_OTHER
from ..executor.spec import ExecutorSpec
from ..executor.table import check_batched
from ..interfaces import IEngine
from ..policy.batch import Batch
from ..suggestion import nearest
from ..telemetry.numbers import ExecutorNumbers

__all__ = ["batched", "batchings", "retries"]


def batched(
    engine: IEngine, spec: ExecutorSpec, clock: IReactorTime, numbers: ExecutorNumbers | None = None
) -> IEngine:
    """*engine*, or one that has requests share its calls, where that is asked for. See `batchings`.

    :param numbers: counts what they share.
    """
    found = batchings(engine, spec)
    if not found:
        return engine
    blocking = any(endpoint.blocking for name, endpoint in engine.endpoints.items() if name in found)
    shards = 1 if "all" in spec.polled.values() else spec.shards
    return Batch(engine, found, clock, spec.replicas * shards if blocking else None, numbers)


def batchings(engine: IEngine, spec: ExecutorSpec) -> dict[str, Batching]:
    """How requests share calls, by endpoint.

    :raises ConfigurationError: where *spec* names an endpoint that there is not, or one that cannot be batched.
    """
    endpoints, said = engine.endpoints, spec.batch
    if spec.host:  # whose endpoints are known later
        return said
    for name in said:
        if name not in endpoints and name != ANY_OTHER:
            error = f"{spec.name}: batch= names the endpoint {name!r}, which there is not{nearest(name, endpoints)}"
            raise spec.at_fault(ConfigurationError(error))
    found = {}
    for name, endpoint in endpoints.items():
        batching = said.get(name) or said.get(ANY_OTHER) or endpoint.batching
        if batching is None:
            continue
        try:
            check_batched(endpoint, f"{spec.name}: {endpoint.method}")
        except ConfigurationError as error:
            hint = "" if name in said else ": let batch= name the endpoints that share calls"
            raise spec.at_fault(ConfigurationError(f"{error}{hint}")) from None
        found[name] = batching
    return found


def retries(engine: IEngine, spec: ExecutorSpec) -> bool:
    """Whether calls are repeated.

    :raises ConfigurationError: where *spec* says so, and none may be.
    """
    if spec.retries and not spec.host and not any(endpoint.idempotent for endpoint in engine.endpoints.values()):
        raise spec.at_fault(
            ConfigurationError(
                f"{spec.name}: retries= is for endpoints that may be called again: mark their methods with "
                "@requests(idempotent=True)"
            )
        )
    return bool(spec.retries)
