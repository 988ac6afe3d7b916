"""The wiring page: every part of a flow is named here once, and joined; and the service that starts and stops them."""

from __future__ import annotations

import atexit
import gc
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from msgspec import Struct
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from zope.interface import implementer

from .banner import banner
from .bridge import when_running
from .endpoint import bind
from .engine.choose import make_engine
from .executor.component import ExecutorSpec, component
from .gateway.http.routes import HTTPSettings, without_routes
from .graph.dispatch import FlowDispatcher, Node
from .interfaces import IDispatcher, IEngine, IGateway
from .limits import Limits
from .listener import Listener
from .policy.admission import Admission
from .policy.deadline import Deadline

__all__ = ["FlowConfig", "FlowService", "make_service"]

log = Logger()

_GARBAGE = 20_000  # objects that may be made before the collector looks at them; with 700 it took 7 % of the time

# Named, not imported: Klein brings the reactor along, and who serves HTTP alone does without the others.
_HTTP = "twisted_flow.gateway.http.gateway.HTTPGateway"
_UPGRADE = "twisted_flow.gateway.websocket.gateway.Upgrade"
_GRPC = "twisted_flow.gateway.grpc.gateway.GRPCGateway"


class NodeConfig(Struct, frozen=True):
    """One executor of a flow, and where it runs."""

    spec: ExecutorSpec
    engine: str | None = None


class FlowConfig(Struct, frozen=True, kw_only=True):
    """All that there is to say of a flow."""

    name: str = "flow"
    listeners: tuple[Listener, ...] = (Listener(("grpc",), 0),)
    host: str = "0.0.0.0"
    nodes: tuple[NodeConfig, ...] = ()
    http: HTTPSettings = HTTPSettings()
    limits: Limits = Limits()


def make_service(config: FlowConfig) -> FlowService:
    """Name the parts and join them. Executors' classes are imported and ports bound; nothing runs yet.

    :raises ConfigurationError: one line, where *config* cannot be served.
    """
    engines = [make_engine(component(node.spec), node.engine) for node in config.nodes]
    bound = [bind(config.host, each.port, listen="grpc" not in each.protocols) for each in config.listeners]

    def gateways() -> list[IGateway]:
        from twisted.internet import reactor  # chosen by now

        nodes = [Node(engine.name, engine.endpoints, Admission(engine, config.limits.max_queue)) for engine in engines]
        dispatcher: IDispatcher = Deadline(FlowDispatcher(nodes), config.limits.timeout, reactor)
        return [
            _gateway(config, listener, dispatcher, each, engines)
            for listener, each in zip(config.listeners, bound, strict=True)
        ]

    return FlowService(config, engines, bound, gateways)


def _gateway(
    config: FlowConfig, listener: Listener, dispatcher: IDispatcher, bound: socket.socket, engines: Sequence[IEngine]
) -> IGateway:
    """The gateway that serves *dispatcher* on *bound*."""
    from twisted.internet import reactor

    debug = config.http.debug
    if "grpc" in listener.protocols:
        return cast(IGateway, namedAny(_GRPC)(dispatcher, config.limits, debug, bound, engines))
    upgrade = None
    if "websocket" in listener.protocols:
        upgrade = namedAny(_UPGRADE)(dispatcher, config.limits, debug, reactor)
    settings = config.http if "http" in listener.protocols else without_routes(config.http)
    return cast(IGateway, namedAny(_HTTP)(dispatcher, settings, bound, engines, upgrade))


@implementer(IService)
class FlowService(Service):
    """A flow as a service: executors start before gateways, and stop after those have drained; one at a time.

    :param bound: the sockets, told in the banner.
    :param make_gateways: called when the reactor runs.
    """

    owns_process = False
    """Whether the process is there for this flow alone: so on the command line. It ends, with status 1, where the flow
    cannot start; and its garbage collector is told what stays for good."""

    def __init__(
        self,
        config: FlowConfig,
        engines: Sequence[IEngine],
        bound: Sequence[socket.socket],
        make_gateways: Callable[[], list[IGateway]],
    ) -> None:
        self.setName(config.name)
        self.config, self.engines, self.bound, self.make_gateways = config, engines, bound, make_gateways
        self.gateways: list[IGateway] = []
        self._started: list[Callable[[], Any]] = []  # how to stop what has been started
        self._starting: Deferred[None] | None = None

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports, as bound."""
        return tuple(each.getsockname()[1] for each in self.bound)

    def startService(self) -> None:
        """Called by the service's parent, before the reactor runs."""
        super().startService()
        self.start().addErrback(self._cannot_start)

    def stopService(self) -> Deferred[None]:
        """Called by the service's parent."""
        super().stopService()
        return self.stop()

    def start(self) -> Deferred[None]:
        """Start all parts.

        :return: fires when every executor is made and every port listens; fails as the first part that could not
            start, after those before it were stopped again.
        """
        self._starting = when_running(lambda: ensureDeferred(self._start()))
        return self._starting

    async def _start(self) -> None:
        try:
            for engine in self.engines:
                self._started.append(engine.stop)
                await engine.start()
            self.gateways = self.make_gateways()
            for gateway in self.gateways:
                self._started.append(gateway.stopService)
                await maybeDeferred(gateway.startService)
        except BaseException:
            await self._stop()
            raise
        if self.owns_process:
            gc.collect()
            gc.freeze()
            gc.set_threshold(_GARBAGE, 20, 20)
        for line in banner(self.config, self.ports):
            log.info("{line}", line=line)

    def stop(self) -> Deferred[None]:
        """Stop all parts: gateways drain, then executors close. What fails is logged, the rest stops all the same."""
        if self.gateways and self.config.limits.drain_delay:
            from twisted.internet import reactor

            delay: Deferred[Any] = deferLater(reactor, self.config.limits.drain_delay)
        else:
            delay = succeed(None)
        return delay.addCallback(lambda _: ensureDeferred(self._stop()))

    async def _stop(self) -> None:
        while self._started:
            stop = self._started.pop()
            with log.failuresHandled("a part of the flow did not stop cleanly"):
                await maybeDeferred(stop)
        for each in self.bound:
            each.close()

    def _cannot_start(self, failure: Failure) -> None:
        reason = " ".join(str(failure.value).split())
        log.error("the flow cannot start: {kind}: {reason}", kind=type(failure.value).__name__, reason=reason)
        if self.config.http.debug:
            log.failure("the flow cannot start", failure)
        if self.owns_process:
            from twisted.internet import reactor

            atexit.register(_exit_with_failure)
            reactor.stop()


def _exit_with_failure() -> None:
    """Run when the interpreter ends: the reactor knows no exit status, and ending it by an exception hangs a daemon."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
