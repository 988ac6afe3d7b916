"""A process of the executor's own: it is started anew where it crashes, and killed where a call does not end in time.

The other end is `worker`.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import Signals
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import FlowError, Unavailable
from ..executor.address import Address
from ..executor.call import response_to
from ..executor.spec import ExecutorSpec
from ..executor.table import Endpoint, find
from ..interfaces import IChanging, IDescribed, IEngine, IExecutor
from ..loop.child import Child
from ..maybe import MaybeDeferred
from ..message import Request
from ..outcome import Outcome, dispatch_whole
from ..telemetry.printable import printable
from ..telemetry.tracebacks import told_in_full
from .child_calls import ChildCalls
from .lifecycle import Lifecycle
from .restarts import Restarts

__all__ = ["ProcessEngine"]

log = Logger()

_ROOT = str(Path(__file__).parents[2])
_PROGRAM = "import sys; sys.path[0] = {root!r}; from twisted_flow.worker.program import main; main({{pipe}}, {parent})"
_LAST_LINES = 20  # of what it has printed, for the log record of a crash
_TO_END = 1.0  # seconds to end after its pipe has
_TO_CLOSE = 0.2  # seconds that a pipe may stay open after its process has ended


@implementer(IEngine, IChanging, IDescribed)
class ProcessEngine:
    """See the module. `window` is as many calls as the process gets at once: one runs, the others wait there.

    :param name: the executor's.
    :param endpoints: its endpoints.
    :param address: where its class, or function, is found.
    :param spec: the rest of its description.
    :param spec_bytes: the same, pickled.
    :param spawn: makes a `Child`.
    :param clock: hands out time; None: the reactor does.
    """

    def __init__(
        self,
        name: str,
        endpoints: Mapping[str, Endpoint],
        address: Address,
        spec: ExecutorSpec,
        spec_bytes: bytes,
        spawn: Callable[..., Child] = Child,
        clock: IReactorTime | None = None,
    ) -> None:
        self._spawn, self._clock = spawn, clock
        self.name, self.endpoints, self.spec = name, endpoints, spec
        self._label = spec.label if spec.name else name
        self._blocking = any(endpoint.blocking for endpoint in endpoints.values())
        self.most = spec.max_concurrency or (16 if self._blocking else 256)
        self._opening = {"address": address, "spec": spec_bytes}
        self._life = life = Lifecycle(cast(IExecutor, _Remote(self)), _on_the_spot)
        self.watch = life.watch
        self._calls = ChildCalls(name, self._label, self._overdue, life.changed)
        self._restarts = Restarts()
        self._again: Any = None  # the timer of the next start
        self._buried: Deferred[None] | None = None  # fires when the process has ended that is stopped
        self._printed: deque[str] = deque(maxlen=_LAST_LINES)
        self._why = ""

    @property
    def health(self) -> str:
        """See `IEngine`; also 'restarting' after a crash, and 'failed' after five within a minute."""
        return self._life.health

    @property
    def window(self) -> int:
        """None while it restarts: what waits goes on waiting. Calls that nobody waits for count until they end."""
        return 0 if self._life.health == "restarting" else max(self.most - self._calls.left, 0)

    def start(self) -> Deferred[None]:
        """See `IEngine`."""
        return self._life.start()

    def stop(self) -> Deferred[None]:
        """See `IEngine`. The process has ended when this fires; if that is cancelled it is killed."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        return self._life.stop().addBoth(self._bury)

    def check(self, timeout: float, stuck_after: float | None) -> Deferred[None]:
        """See `IEngine`. While it is at work the question would wait behind that, and is not asked."""
        longest = self._calls.longest()
        stuck = stuck_after is not None and longest > stuck_after
        if self._blocking and len(self._calls) and not stuck:
            return succeed(None)
        return self._life.check(timeout, stuck_after, longest)

    def describe(self) -> dict[str, object]:
        """See `IDescribed`."""
        child = self._calls.child
        pid = None if child is None or child.is_over else child.pid
        told = {"engine": "process", "health": self.health, "window": self.window, "pid": pid}
        return {**told, "restarts": self._restarts.number}

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        endpoint: Endpoint | None = find(self.endpoints, request.header.exec_endpoint)
        if request.parts is not None and (endpoint is None or not endpoint.takes_parts):
            return dispatch_whole(request, self.dispatch)
        if self._life.method(request.header.exec_endpoint) is None:
            return response_to(request, None)
        return self._calls.call(request, endpoint is not None and endpoint.exclusive)

    @property
    def clock(self) -> IReactorTime:
        """What hands out time."""
        if self._clock is None:
            from twisted.internet import reactor  # chosen by now

            self._clock = cast(IReactorTime, reactor)
        return self._clock

    def _overdue(self, deadline: float) -> Any:
        """A call has been given up that has this deadline: it has `kill_after` seconds more to end."""
        wait = max(deadline - time.monotonic(), 0) + self.spec.kill_after
        return self.clock.callLater(wait, self._kill)

    def _kill(self) -> None:
        self._why = f"a call had not ended {self.spec.kill_after:g} s after its deadline; "
        if self._calls.child is not None:
            self._calls.child.kill()

    def open(self) -> Deferred[Mapping[str, Any]]:
        """Start a process, and have it make the executor."""
        program = _PROGRAM.format(root=_ROOT, parent=os.getpid())
        told = {"path": [each or os.getcwd() for each in sys.path], "argv": sys.argv, **self._opening}
        opening = pickle.dumps(told)
        child: Child
        child = self._calls.child = self._spawn(
            command=[sys.executable, "-u", "-c", program, self._label],
            environment={**os.environ, **self.spec.env},
            take=self._calls.take,
            line=self._said,
            gone=lambda: self._gone(child),
            ended=lambda status: self._ended(child, status),
        )
        self._printed.clear()
        opened = self._calls.command("open", opening)
        if self.spec.start_timeout is not None:
            opened.addTimeout(self.spec.start_timeout, self.clock, self._started_too_late)
        return opened.addCallback(lambda _: dict.fromkeys(self.endpoints, _nothing))

    def _started_too_late(self, _: object, seconds: float) -> Failure:
        return Failure(TimeoutError(f"executor {self.name!r} was not made within {seconds:g} s (start_timeout)"))

    def _said(self, line: str) -> None:
        self._printed.append(line)
        log.info("executor {name}: {line}", name=self._label, line=printable(line, 2000))

    def _gone(self, child: Child) -> None:
        """The pipe has ended: what the process had under way fails."""
        if child is self._calls.child:
            if self._life.health in ("ready", "unhealthy"):
                self._life.lost("restarting")
            self._calls.fail(self._crash)
            child.kill()

    def _crash(self) -> FlowError:
        if self._life.health == "starting":
            return Unavailable(f"the process of executor {self.name!r} ended before it was ready", executor=self.name)
        error = Unavailable(f"executor {self.name!r} crashed while it had the request", executor=self.name)
        error.crashed = True
        return error

    def _ended(self, child: Child, status: int) -> None:
        """The process has ended."""
        if child is not self._calls.child:
            return
        self.clock.callLater(_TO_CLOSE, child.abandon)  # a process that it has forked may hold the pipe
        buried, self._buried = self._buried, None
        if buried is not None:
            buried.callback(None)
        elif self._life.health not in ("new", "starting", "stopping", "stopped"):
            self._crashed(status)

    def _crashed(self, status: int) -> None:
        wait = self._restarts.crashed(self.clock.seconds())
        self._life.lost("failed" if self._restarts.failed else "restarting")
        how = f"by signal {-status} ({_signal(-status)})" if status < 0 else f"with status {status}"
        printed = "".join(f"\n  {printable(line, 500)}" for line in self._printed)
        log.error(
            "executor {name}: {why}its process ended {how}; {health}, it starts again in {wait:.1f} s{printed}",
            name=self._label, why=self._why, how=how, wait=wait, health=self.health,
            printed=f"; it printed last:{printed}" if printed else "",
        )  # fmt: skip
        self._why = ""
        self._again = self.clock.callLater(wait, self._restart)

    def _restart(self) -> None:
        self._again = None
        try:
            opened = self.open()
        except Exception as error:  # there was no room for a process: nothing will end
            self._not_made(error)
            self._crashed(1)
        else:
            opened.addCallback(self._warm_up).addCallbacks(self._restarted, self._not_restarted)

    def _warm_up(self, methods: Mapping[str, Any]) -> Deferred[Mapping[str, Any]]:
        return self._calls.command("warm_up").addCallback(lambda _: methods)

    def _restarted(self, methods: Mapping[str, Any]) -> None:
        if self._life.health in ("restarting", "failed"):
            self._restarts.started()
            log.info("executor {name} runs again", name=self._label)
            self._life.reopened(methods)

    def _not_restarted(self, failure: Failure) -> None:
        if self._life.health in ("restarting", "failed"):
            self._not_made(failure.value)
            if self._calls.child is not None:
                self._calls.child.kill()  # `_ended` has it started again

    def _not_made(self, error: Any) -> None:
        log.error("executor {name} cannot be made: {error}", name=self._label, error=told_in_full(error))

    def hook(self, name: str) -> Deferred[None]:
        """Have a hook of the executor called; without a process there is nothing to call."""
        child = self._calls.child
        return succeed(None) if child is None or child.is_over or child.is_lost else self._calls.command(name)

    def _bury(self, outcome: Any) -> Deferred[Any]:
        """Wait for the end of the process, or end it."""
        child = self._calls.child
        if child is None or child.is_over:
            return succeed(outcome)
        child.close()
        self._buried = Deferred(lambda _: child.kill())
        late = self.clock.callLater(_TO_END, child.kill)

        def ended(_: object) -> Any:
            if late.active():
                late.cancel()
            return outcome

        return self._buried.addBoth(ended)


class _Remote:
    """The executor as `Lifecycle` has it: its hooks run in the process."""

    def __init__(self, engine: ProcessEngine) -> None:
        self.name, self.endpoints, self.open = engine.name, engine.endpoints, engine.open
        self.warm_up = lambda: engine.hook("warm_up")
        self.check_health = lambda: engine.hook("check_health")
        self.close = lambda: engine.hook("close")


def _on_the_spot(function: Callable[[], Any]) -> Deferred[Any]:
    return succeed(None).addCallback(lambda _: function())


def _nothing(*_: object) -> None:
    """Stands for a method, which is in the process."""


def _signal(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return "unknown"
