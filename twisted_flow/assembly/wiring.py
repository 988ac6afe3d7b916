"""The wiring page: every part of a flow is created here, once, and connected to the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..errors import ConfigurationError
from ..executor.catalogue import Catalogue
from ..executor.requests import DEFAULT
from ..executor.spec import ExecutorSpec
from ..gateway.buffered import Buffered
from ..gateway.grpc.added import added
from ..gateway.http.routes import flow_routes
from ..gateway.served import Served
from ..graph.current import Current
from ..graph.dispatch import FlowDispatcher
from ..graph.graph import ordered
from ..graph.node import Node
from ..interfaces import IDispatcher, IEngine, IGateway, IListenAddress
from ..listen.addresses import described_address, port_address
from ..listen.listeners import Listener
from ..policy.admission import Admission
from ..policy.deadline import Deadline
from ..policy.retry import Retry
from ..policy.streams import Streams
from ..policy.tracing import Tracing, tracer
from ..protocols import protocol_named
from ..readiness import Readiness
from ..security.guard import Guard
from ..security.tls import ServerTLS, alpn_of
from ..security.watched_files import WatchedFiles
from ..suggestion import nearest
from ..telemetry.numbers import ExecutorNumbers, Numbers
from .authentication import authenticator_of
from .copies import engine_of
from .flow_config import FlowConfig
from .repeated import batched, batchings, retries
from .service import FlowService
from .telling import telemetry

__all__ = ["checked", "make_service"]

log = Logger()


def make_service(config: FlowConfig) -> FlowService:
    """Create the parts of a flow and connect them. Executors' classes are imported and ports bound; nothing runs yet.

    :raises ConfigurationError: one line, where *config* cannot be served.
    """
    from twisted.internet import reactor  # chosen by now

    graph = ordered(config.nodes)
    clock = cast(IReactorTime, reactor)
    specs = {node.name: (node.spec, node.engine) for node in graph if node.spec is not None}
    engines = {name: engine_of(spec, word, config.limits) for name, (spec, word) in specs.items()}
    admitted, nodes = {}, []
    numbers, spans = Numbers(partial(_endpoints, config, engines)), tracer()
    for name, engine in engines.items():
        admitted[name], node = _called(engine, specs[name][0], config, clock, numbers.executors[name], spans)
        nodes.append(Node(name, engine.endpoints, node))
        numbers.pods[nodes[-1].id] = name
    catalogue = partial(Catalogue.of, admitted.values(), config.limits)
    flow = FlowDispatcher(nodes, graph, config.strict, catalogue)
    front: IDispatcher = Deadline(Streams(flow, config.limits, clock), config.limits.timeout, clock)
    current = Current(front if spans is None else Tracing(front, spans, "flow", "SERVER"))
    buffered = Buffered(config.limits.max_buffered)
    services, readiness = added(config.grpc_services), Readiness(admitted.values())
    authenticator = authenticator_of(config.security)
    guard = None if authenticator is None else Guard(authenticator, clock)
    _check_guarded(config, guard)
    told = telemetry(config.telemetry, numbers, admitted.values(), clock)

    def gateways(listener: Listener, address: IListenAddress, first: bool) -> list[IGateway]:
        served = Served(
            dispatcher=current,
            address=address,
            limits=config.limits,
            buffered=buffered,
            engines=tuple(admitted.values()),
            added=services,
            guard=guard,
            readiness=readiness,
            record=told.record,
            metrics=told.metrics if config.telemetry.metrics_port is None else None,
            http=config.http,
            debug=config.http.debug,
        )
        made: list[IGateway] = []
        for protocol in sorted(listener.protocols, key=lambda name: name != "http"):  # which the others stand beside
            beside = made[0] if made else None
            made.append(protocol_named(protocol).make(replace(served, beside=beside)))
        if first:
            made += told.gateways(served)
        return made[::-1]  # the one that listens is the last to start: then all are ready

    for line in _strange(config, {name for engine in engines.values() for name in engine.endpoints}):
        log.warn("{line}", line=line)
    watched = [authenticator] if isinstance(authenticator, WatchedFiles) else []
    addresses = partial(_addresses, config)
    return FlowService(config, current, list(engines.values()), readiness, addresses, gateways, watched, told)


def _called(
    engine: IEngine, spec: ExecutorSpec, config: FlowConfig, clock: IReactorTime, counted: ExecutorNumbers, spans: Any
) -> tuple[Admission, IDispatcher]:
    """*engine* with all that decides how it is called: what admits requests to it, and the outermost of all that."""
    shared = batched(engine, spec, clock, counted)
    admission = Admission(shared, config.limits.max_queue, numbers=counted)
    node: IDispatcher = admission
    if spans is not None:
        node = Tracing(node, spans, engine.name, "CLIENT" if spec.host else "INTERNAL")
    if retries(engine, spec):
        node = Retry(node, engine.endpoints, spec.retries, clock)
    if spec.timeout is not None:
        node = Deadline(node, spec.timeout, clock)
    return admission, node


def checked(config: FlowConfig) -> list[str]:
    """A few lines that describe what *config* would serve. Classes are imported, nothing is made; ports are tried.

    :raises ConfigurationError: one line, where it cannot be served.
    """
    lines: list[str] = []
    endpoints: set[str] = set()
    for node in ordered(config.nodes):
        made = None if node.spec is None else engine_of(node.spec, node.engine, config.limits)
        if made is not None and node.spec is not None:
            batchings(made, node.spec)
            retries(made, node.spec)
        endpoints.update(() if made is None else made.endpoints)
        what = "joins" if made is None else " ".join(sorted(made.endpoints))
        if node.spec is not None and node.spec.host:
            what = f"a flow at {', '.join(node.spec.host)}"  # which is not asked here
        lines.append(f"{node.name} (needs {', '.join(node.needs)}): {what}")
    for address in _addresses(config, config.listeners):
        address.close()
    added(config.grpc_services)
    _check_guarded(config, authenticator_of(config.security))
    served = ", ".join(protocol for listener in config.listeners for protocol in listener.protocols)
    return [*lines, *_strange(config, endpoints), f"{config.name} can be served over {served}"]


def _endpoints(config: FlowConfig, engines: Mapping[str, IEngine]) -> set[str]:
    """The endpoints that are counted each by itself."""
    routes = flow_routes(config.http, {})
    own = {name for engine in engines.values() for name in engine.endpoints}
    return {*own, *(route.endpoint for route in routes if route.endpoint)}


def _check_guarded(config: FlowConfig, guard: object) -> None:
    """Hold the protocols against the guard: one that does not know it would let anybody in."""
    for protocol in (name for listener in config.listeners for name in listener.protocols):
        if guard is not None and not getattr(protocol_named(protocol), "authenticates", False):
            raise ConfigurationError(f"protocol={protocol!r} does not ask who calls: serve it by a flow of its own")


def _strange(config: FlowConfig, endpoints: Collection[str]) -> list[str]:
    """Probable mistakes in the names of endpoints, a line each: those without a slash, which no route leads to, and
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


def _addresses(config: FlowConfig, listeners: Sequence[Listener]) -> list[IListenAddress]:
    return [_address(config, each) for each in listeners]


def _address(config: FlowConfig, listener: Listener) -> IListenAddress:
    alpn, files = alpn_of(listener.protocols), config.security.tls
    tls = None if files is None else ServerTLS(files, alpn, config.limits.header_timeout)
    if listener.endpoint:
        return described_address(listener.endpoint, tls, alpn)
    listen = not any(protocol_named(name).own_socket for name in listener.protocols)
    return port_address(config.host, listener.port, listen=listen, tls=tls)
