"""The wiring page: every part of a flow is named here once, and joined."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import cast

from twisted.logger import Logger
from twisted.python.reflect import namedAny

from ..engine.choose import make_engine
from ..executor.requests import DEFAULT
from ..gateway.buffered import Buffered
from ..gateway.http.routes import without_routes
from ..graph.dispatch import FlowDispatcher
from ..graph.graph import ordered
from ..graph.node import Node
from ..interfaces import IDispatcher, IEngine, IGateway, IPlace
from ..listen.addresses import described_place, port_place
from ..listen.listeners import Listener
from ..policy.admission import Admission
from ..policy.deadline import Deadline
from ..suggestion import nearest
from .flow_config import FlowConfig
from .service import FlowService

__all__ = ["checked", "make_service"]

log = Logger()

# Named, not imported: Klein brings the reactor along, and who serves HTTP alone does without the others.
_HTTP = "twisted_flow.gateway.http.gateway.HTTPGateway"
_UPGRADE = "twisted_flow.gateway.websocket.gateway.Upgrade"
_GRPC = "twisted_flow.gateway.grpc.gateway.GRPCGateway"


def make_service(config: FlowConfig) -> FlowService:
    """Name the parts and join them. Executors' classes are imported and ports bound; nothing runs yet.

    :raises ConfigurationError: one line, where *config* cannot be served.
    """
    graph = ordered(config.nodes)
    engines = {node.name: make_engine(node.spec, node.engine) for node in graph if node.spec is not None}
    nodes = [
        Node(name, engine.endpoints, Admission(engine, config.limits.max_queue)) for name, engine in engines.items()
    ]

    buffered = Buffered(config.limits.max_buffered)

    def gateway(listener: Listener, place: IPlace) -> IGateway:
        from twisted.internet import reactor  # chosen by now

        flow = FlowDispatcher(nodes, graph, config.strict)  # whose ways lead to executors that are open by now
        timed = Deadline(flow, config.limits.timeout, reactor)
        return _gateway(config, listener, timed, place, list(engines.values()), buffered)

    for line in _strange(config, {name for engine in engines.values() for name in engine.endpoints}):
        log.warn("{line}", line=line)
    return FlowService(config, list(engines.values()), partial(_places, config.host), gateway)


def checked(config: FlowConfig) -> list[str]:
    """What *config* would serve, in a few lines. Classes are imported, nothing is made; ports are tried.

    :raises ConfigurationError: one line, where it cannot be served.
    """
    lines: list[str] = []
    endpoints: set[str] = set()
    for node in ordered(config.nodes):
        made = None if node.spec is None else make_engine(node.spec, node.engine)
        endpoints.update(() if made is None else made.endpoints)
        what = "joins" if made is None else " ".join(sorted(made.endpoints))
        lines.append(f"{node.name} (needs {', '.join(node.needs)}): {what}")
    for place in _places(config.host, config.listeners):
        place.close()
    served = ", ".join(protocol for listener in config.listeners for protocol in listener.protocols)
    return [*lines, *_strange(config, endpoints), f"{config.name} can be served over {served}"]


def _strange(config: FlowConfig, endpoints: Collection[str]) -> list[str]:
    """What may be a mistake in the names of endpoints, a line each: those without a slash, which no route leads to, and
    those that are exposed and that no executor has.
    """
    lines = [f"the endpoint {name!r} does not begin with a slash" for name in sorted(endpoints) if name[:1] != "/"]
    if DEFAULT in endpoints or not endpoints:
        return lines
    for route in config.http.exposed:
        if route.endpoint not in endpoints:
            near = nearest(route.endpoint or "", sorted(endpoints))
            lines.append(f"no executor has the endpoint {route.endpoint!r}, which is exposed at {route.path}{near}")
    return lines


def _places(host: str, listeners: Sequence[Listener]) -> list[IPlace]:
    return [
        described_place(each.endpoint)
        if each.endpoint
        else port_place(host, each.port, listen="grpc" not in each.protocols)
        for each in listeners
    ]


def _gateway(
    config: FlowConfig,
    listener: Listener,
    dispatcher: IDispatcher,
    place: IPlace,
    engines: Sequence[IEngine],
    buffered: Buffered,
) -> IGateway:
    """The gateway that serves *dispatcher* at *place*."""
    from twisted.internet import reactor

    debug = config.http.debug
    if "grpc" in listener.protocols:
        return cast(IGateway, namedAny(_GRPC)(dispatcher, config.limits, debug, place, engines, buffered))
    upgrade = None
    if "websocket" in listener.protocols:
        upgrade = namedAny(_UPGRADE)(dispatcher, config.limits, debug, reactor)
    settings = config.http if "http" in listener.protocols else without_routes(config.http)
    return cast(IGateway, namedAny(_HTTP)(dispatcher, settings, place, engines, buffered, upgrade))
