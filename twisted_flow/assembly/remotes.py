"""The engine of an executor that is a flow elsewhere: an engine for each address, as one."""

from __future__ import annotations

from functools import partial
from typing import cast
from urllib.parse import urlsplit

from twisted.internet.interfaces import IReactorTime

from ..client.server import server_named
from ..engine.remote import RemoteEngine
from ..executor.catalogue import any_endpoint, elsewhere
from ..executor.spec import ExecutorSpec
from ..interfaces import IEngine
from ..listen.hostport import joined
from ..policy.replicas import Replicas
from ..protocols import protocol_named
from ..security.access import PLAIN, access

__all__ = ["remote_engine"]

_WINDOW = 256  # requests under way at each address


def remote_engine(spec: ExecutorSpec) -> IEngine:
    """The engine for *spec*, whose ``host`` says where the flow is. Nothing is connected yet.

    :raises ConfigurationError: where it names no server.
    """
    from twisted.internet import reactor  # chosen by now

    endpoints = {name: elsewhere(name) for name in spec.endpoints} or any_endpoint()
    engines = []
    for each in spec.host:
        server = server_named("grpc", each, None)
        maker = protocol_named(server.protocol)
        scheme = urlsplit(each).scheme if "://" in each else [*maker.schemes, server.protocol][0]
        shown = access(server.tls, spec.ca, spec.cert, spec.key, spec.token)
        make = partial(maker.make_channel, server.host, server.port, **({} if shown == PLAIN else {"access": shown}))
        engines.append(
            RemoteEngine(
                spec.name or "",
                f"{scheme}://{joined(server.host, server.port)}",
                make(),
                make(),
                endpoints,
                fixed=bool(spec.endpoints),
                window=spec.max_concurrency or _WINDOW,
                clock=cast(IReactorTime, reactor),
            )
        )
    return engines[0] if len(engines) == 1 else Replicas(engines)
