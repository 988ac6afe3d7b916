"""The service that starts a flow's parts, and stops them: one at a time, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, ensureDeferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import ConfigurationError
from ..interfaces import IChanging, IDispatcher, IEngine, IGateway, IListenAddress
from ..listen.listeners import Listener
from ..loop import when_running
from ..process.failure import end_with_failure
from ..process.memory import prepare_to_serve
from ..process.signals import exit_on_next_interrupt, exit_on_signals, on_signals
from ..process.stacks import dump_stacks
from ..process.systemd import notify
from ..process.watch import LoopWatch, watch_loop
from ..readiness import Readiness
from ..security.watched_files import FilesWatch, WatchedFiles
from ..telemetry.logs import hear_logging
from ..telemetry.tracebacks import told_in_full
from .banner import banner
from .flow_config import FlowConfig
from .telling import Telling

__all__ = ["FlowService"]

log = Logger()

_LEAST_GRACE = 1.0  # seconds that an executor has to close, however little those have who wait for answers
_STOPPED = "stopped before it had started"
_ATTEMPTS = 100  # to bind a port that is about to be free


@implementer(IService)
class FlowService(Service):
    """A flow as a service: executors start before gateways, and stop after those have drained; one at a time.

    :param dispatcher: what its gateways serve.
    :param readiness: told when the flow stops.
    :param find_addresses: finds the addresses of listeners, and takes them.
    :param make_gateways: makes the gateways of a listener, and whether that is the first, when the reactor runs.
    :param telling: what it tells of itself.
    :param watched: files that are read again when they change, beside those of certificates.
    """

    owns_process = False
    """Whether the process is there for this flow alone: so on the command line. It ends, with status 1, where the flow
    cannot start; its garbage collector is told what stays for good, and systemd how it does."""

    def __init__(
        self,
        config: FlowConfig,
        dispatcher: IDispatcher,
        engines: Sequence[IEngine],
        readiness: Readiness,
        find_addresses: Callable[[Sequence[Listener]], list[IListenAddress]],
        make_gateways: Callable[[Listener, IListenAddress, bool], list[IGateway]],
        watched: Sequence[WatchedFiles[Any]],
        telling: Telling,
    ) -> None:
        self.setName(config.name)
        self.config, self.dispatcher, self.engines, self.readiness = config, dispatcher, engines, readiness
        self.find_addresses, self.make_gateways = find_addresses, make_gateways
        self.listeners, self.telling = config.listeners, telling
        self.addresses, self.gateways = find_addresses(config.listeners), list[IGateway]()
        self._running: list[IEngine] = []
        self._one_at_a_time = DeferredLock()
        self._stopping = self._left = False
        self._starting: Deferred[None] | None = None
        self._watch: LoopWatch | None = None
        self._checking = LoopingCall(self._check)
        self._files = FilesWatch(lambda: [*watched, *(each.tls for each in self.addresses if each.tls is not None)])

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports; 0 for an address without one."""
        return tuple(each.port for each in self.addresses)

    def startService(self) -> None:
        """Called by the service's parent, before the reactor runs."""
        super().startService()
        if self.owns_process:
            on_signals(self._reload, self._dump)
        self.start().addErrback(self._cannot_start)

    def stopService(self) -> Deferred[None]:
        """Called by the service's parent."""
        super().stopService()
        if self.owns_process:
            notify("STOPPING=1")
            exit_on_next_interrupt()
        return self.stop()

    def start(self) -> Deferred[None]:
        """Start all parts.

        :return: fires when every executor is made and every port listens; fails as the first part that could not
            start, after those before it were stopped again.
        """
        self._stopping = self.readiness.stopping = False
        return when_running(lambda: self._one_at_a_time.run(self._begin))

    def _begin(self) -> Deferred[None]:
        self._starting = starting = ensureDeferred(self._start())

        def started(outcome: object) -> object:
            self._starting = None
            if self._stopping and isinstance(outcome, Failure) and outcome.check(CancelledError):
                raise RuntimeError(_STOPPED)
            return outcome

        return starting.addBoth(started)

    async def _start(self) -> None:
        if self.owns_process:
            exit_on_signals()
            self._watch = watch_loop()
        self._go_on()
        if self._left:
            self.addresses, self._left = self.find_addresses(self.listeners), False
        try:
            for engine in self.engines:
                self._go_on()
                self._running.append(engine)
                await self._started(engine)
            self._go_on()
            if self.owns_process:
                hear_logging()  # they may have configured it
            await self._listen(self.listeners, self.addresses)
            self._checking.start(self.config.limits.health_interval, now=False)
            self._files.start()
            self.telling.beat.start()
        except BaseException:
            await self._stop()
            raise
        if self.owns_process:
            self.telling.beat.feed_watchdog()
            prepare_to_serve()
            notify(f"READY=1\n{self.telling.status(self.engines)}")
            for engine in self.engines:
                changing = IChanging(engine, None)
                if changing is not None:
                    changing.watch(partial(self._changed, engine))
        for line in banner(self.config, self.addresses, self.engines):
            log.info("{line}", line=line)

    def _check(self) -> None:
        for engine in self._running:
            engine.check(self.config.limits.health_timeout, self.config.limits.stuck_after)
        if self.owns_process:
            notify(self.telling.status(self.engines))

    def _changed(self, engine: IEngine) -> None:
        """The state of an executor has changed, in a process that is there for this flow alone."""
        notify(self.telling.status(self.engines))
        if engine.health == "failed" and self.config.exit_on_crash and not self._stopping:
            log.error("executor {name} has failed: the server ends (exit_on_crash)", name=engine.name)
            self._fail()

    def _go_on(self) -> None:
        if self._stopping:
            raise RuntimeError(_STOPPED)

    async def _started(self, engine: IEngine) -> None:
        try:
            await engine.start()
        except Exception as error:
            error.add_note(f"of executor {engine.name!r}")
            raise

    async def _listen(self, listeners: Sequence[Listener], addresses: Sequence[IListenAddress]) -> None:
        for listener, each in zip(listeners, addresses, strict=True):
            for gateway in self.make_gateways(listener, each, each is addresses[0]):
                self.gateways.append(gateway)
                await maybeDeferred(gateway.startService)

    def switch(self, listeners: Sequence[Listener]) -> Deferred[None]:
        """Serve other protocols, on *listeners*' ports; executors keep their state, what was accepted is answered.

        Between the old listener's end and the new one's start a connect may be refused.

        :return: fails as the new protocol could not listen; the old one listens again then.
        """
        return ensureDeferred(self._switch(tuple(listeners)))

    async def _switch(self, listeners: tuple[Listener, ...]) -> None:
        before, old = self.listeners, self.gateways
        draining = [maybeDeferred(gateway.stopService) for gateway in old]
        self.gateways = []
        try:
            await self._listen_again(listeners)
        except BaseException:
            await self._stop_gateways()
            await self._listen_again(before)
            raise
        finally:
            for each in draining:
                with log.failuresHandled("a gateway did not stop cleanly"):
                    await each

    async def _listen_again(self, listeners: tuple[Listener, ...]) -> None:
        """Listen where another gateway did just now; it may need a moment to let go of the port."""
        from twisted.internet import reactor

        for attempt in range(_ATTEMPTS):
            try:
                self.addresses = self.find_addresses(listeners)
                break
            except ConfigurationError:
                if attempt == _ATTEMPTS - 1:
                    raise
                await deferLater(cast(IReactorTime, reactor), 0.02)
        self.listeners = listeners
        await self._listen(listeners, self.addresses)

    def stop(self) -> Deferred[None]:
        """Stop all parts: gateways drain, then executors close. What fails is logged, the rest stops all the same."""
        delay = self.config.limits.drain_delay if self.gateways else 0
        waiting: Deferred[Any] = deferLater(self.telling.clock, delay) if delay else succeed(None)
        self._stopping = self.readiness.stopping = True
        if self._starting is not None:
            self._starting.cancel()  # what hangs there is not waited for
        tell = self.telling.account() if self.gateways else None
        waiting.addCallback(lambda _: self._one_at_a_time.run(lambda: ensureDeferred(self._stop(tell))))
        return waiting

    async def _stop(self, tell: Callable[[], object] | None = None) -> None:
        self._files.stop()
        if self._checking.running:
            self._checking.stop()
        await self._stop_gateways()
        if tell is not None:
            tell()
        while self._running:
            engine = self._running.pop()
            try:
                await self._in_time(engine.stop())
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # the others close all the same
                log.error("executor {name} did not close: {error}", name=engine.name, error=told_in_full(error))
        for each in self.addresses:
            each.close()
        self._left = True
        self.telling.stop()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _in_time(self, stopping: Deferred[None]) -> Deferred[None]:
        """*stopping* with a time limit, since a user's method may never return."""
        from twisted.internet import reactor

        grace = max(self.config.limits.drain_grace, _LEAST_GRACE)
        return stopping.addTimeout(
            grace,
            cast(IReactorTime, reactor),
            lambda _, seconds: Failure(TimeoutError(f"not finished within {seconds:g} s")),
        )

    async def _stop_gateways(self) -> None:
        """All at once: they share one grace."""
        gateways, self.gateways = self.gateways, []
        for stopping in [maybeDeferred(gateway.stopService) for gateway in gateways]:
            with log.failuresHandled("a gateway did not stop cleanly"):
                await stopping

    def _reload(self) -> None:
        log.info("SIGHUP: certificates and tokens are read again; executors stay as they are")
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._files.look(again=True)
        self.telling.reopen()
        notify("READY=1")

    def _dump(self) -> None:
        self.telling.reopen()  # as twistd begins a new log file at SIGUSR1
        dump_stacks()

    def _cannot_start(self, failure: Failure) -> None:
        if self._stopping:
            return
        error: Any = failure.value
        log.error("the flow cannot start: {error}", error=told_in_full(error))
        if self.owns_process:
            self._fail()

    def _fail(self) -> None:
        self._stopping = True
        end_with_failure()
