"""A flow that is elsewhere, as an executor: requests are sent to one address of it. See `catalogue` for what it tells.

Whoever wraps several addresses as one prefers those that are 'ready' (`Replicas`). An address that cannot be reached is
'failed': it gets no requests, and is asked again every 5 s. One that is reached, but is not ready itself, or does not
answer the question in time, is 'unhealthy', and gets requests where there is none better.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..document.identity import new_id
from ..errors import DeadlineExceeded, FlowError, PayloadTooLarge, QueueFull, Unauthenticated, Unavailable
from ..executor.catalogue import Catalogue, any_endpoint
from ..executor.table import Endpoint, find
from ..generation import Generation
from ..interfaces import IChanging, IChannel, IDescribed, IEngine, IExchange, IStreamingChannel
from ..limits import SHORTEST_TIMEOUT
from ..maybe import MaybeDeferred
from ..message import Header, Request, Response, collecting
from ..outcome import Outcome, dispatch_whole
from ..telemetry.printable import one_line
from ..worker.messages import not_sendable
from .question import catalogue_of, greeted, succeeded
from .remote_stream import streamed

__all__ = ["RemoteEngine"]

log = Logger()

_AGAIN = 5.0  # seconds until an address that is not ready is asked again
_PATIENCE = 5.0  # seconds to connect, and to answer the question
_OFTEN = 1.0  # seconds between questions, where it says that it is not available
_SERVES = ("ready", "unhealthy")


@implementer(IEngine, IChanging, IDescribed)
class RemoteEngine:
    """See the module.

    :param name: the executor's.
    :param url: where it is, for errors and ``/status``.
    :param channel: the way there.
    :param questions: another one, for the questions how it does: they do not wait behind requests.
    :param endpoints: its endpoints, shared with the other addresses, and changed in place when it tells them.
    :param fixed: whether these are all that are meant.
    :param window: requests that are under way at once.
    :param clock: hands out time.
    :param now: tells the time that deadlines are in.
    """

    def __init__(
        self,
        name: str,
        url: str,
        channel: IChannel,
        questions: IChannel,
        endpoints: dict[str, Endpoint],
        fixed: bool,
        window: int,
        clock: IReactorTime,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.url, self.channel, self._questions = name, url, channel, questions
        self.window = self._most = window
        if channel.most is not None:
            channel.most = window
        self.endpoints, self._fixed = endpoints, fixed
        self._clock, self._now = clock, now
        self.health = "new"
        """See `IEngine`."""
        self._generation = Generation()
        self.watch = self._generation.watch
        self._exchange: IExchange | None = None
        self._waiting: list[Deferred[IExchange]] = []  # for a connection
        self._ids: set[str] = set()
        self._asking: Deferred[Any] | None = None
        self._again: Any = None  # the timer of the next question
        self._max_body: int | None = None
        self._ours = False  # whether it knows the question
        self._asked_at = 0.0

    def start(self) -> Deferred[None]:
        """See `IEngine`. It starts though the other flow is not there; that is told in the log."""
        self._enter("starting")
        return self._ask(_PATIENCE)

    def check(self, timeout: float, stuck_after: float | None) -> Deferred[None]:
        """See `IEngine`. One that is not ready is asked in its own time."""
        return self._ask(timeout) if self.health == "ready" else succeed(None)

    def stop(self) -> Deferred[None]:
        """See `IEngine`."""
        if self.health in ("new", "stopped"):
            return succeed(None)
        self._enter("stopping")
        self._stop_timer()
        if self._asking is not None:
            self._asking.cancel()
        self._exchange = None
        return self.channel.close().addBoth(lambda _: self._questions.close()).addBoth(self._stopped)

    def _stopped(self, outcome: object) -> Any:
        self._enter("stopped")
        return outcome

    def describe(self) -> dict[str, object]:
        """See `IDescribed`."""
        return {"engine": "remote", "address": self.url, "health": self.health, "window": self.window}

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        endpoint: Endpoint | None = find(self.endpoints, request.header.exec_endpoint)
        streaming = IStreamingChannel(self.channel, None)
        if request.parts is not None and (streaming is None or endpoint is None or not endpoint.takes_parts):
            return dispatch_whole(request, self.dispatch)
        if self.health not in _SERVES:
            raise self._unavailable(f"is {self.health}")
        if streaming is not None and (request.stream or request.parts is not None):
            return streamed(streaming, self._to_ask(request), request, self.name, self._failed)
        exchange = self._exchange
        sent = (
            self._connected().addCallback(self._send, request)
            if exchange is None or exchange.over
            else self._send(exchange, request)
        )
        return sent.addCallbacks(partial(_answer, request, self._ours), self._failed)

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(f"executor {self.name!r} at {self.url} {why}", executor=self.name)

    def _connected(self) -> Deferred[IExchange]:
        """A connection, the same for all that wait for one."""
        waiting: Deferred[IExchange] = Deferred()
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            connecting = self.channel.exchange()
            if self._ours and self.channel.most is None:  # many share it
                connecting.addCallback(greeted, _PATIENCE)
            connecting.addTimeout(_PATIENCE, self._clock).addCallbacks(self._made, self._not_made)
        return waiting

    def _made(self, exchange: IExchange) -> None:
        self._exchange = exchange
        exchange.max_body = self._max_body
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(exchange)

    def _not_made(self, failure: Failure) -> None:
        error = failure.value if isinstance(failure.value, FlowError) else self._unavailable("does not answer")
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.errback(error if isinstance(error, Unauthenticated) else Unavailable(str(error)))

    def _to_ask(self, request: Request, request_id: str = "") -> Request:
        """*request* as the other flow is asked, under *request_id*, or its own.

        :raises DeadlineExceeded: if it has no time left.
        """
        timeout = None
        if request.deadline is not None:
            timeout = request.deadline - self._now()
            if timeout <= 0:
                raise DeadlineExceeded("its time was over before it was sent")
            timeout = max(timeout, SHORTEST_TIMEOUT)
        request_id = request_id or request.request_id
        header = Header(request.header.exec_endpoint)
        return replace(request, request_id=request_id, header=header, timeout=timeout, deadline=None)

    def _send(self, exchange: IExchange, request: Request) -> Deferred[Any]:
        request_id = new_id() if request.request_id in self._ids else request.request_id
        try:
            sent: Deferred[Response] = exchange.send(self._to_ask(collecting(request), request_id))
        except DeadlineExceeded as late:
            return fail(late)
        except Exception as raised:  # an earlier executor of the flow has put it there
            error = not_sendable(raised, request, f"what executor {self.name!r} takes")
            error.begun = False
            return fail(error)
        self._ids.add(request_id)
        return sent.addBoth(self._over, request_id).addCallback(succeeded)

    def _over(self, outcome: Any, request_id: str) -> Any:
        self._ids.discard(request_id)
        return outcome

    def _failed(self, failure: Failure) -> Failure:
        """Look after the address, where it may be what failed."""
        error = failure.value
        refused = isinstance(error, Unauthenticated)
        if refused:  # that is about this flow, not about its caller
            error = self._unavailable("does not know this flow: see token= and cert=")
            failure = Failure(error)
        if isinstance(error, Unavailable) and self.health in _SERVES:
            if error.response is None and not refused:  # the connection
                self._became("failed", error)
                self._exchange = None
                self._schedule(0)  # it may be there again at once
            elif self._again is None and self._now() - self._asked_at > _OFTEN:  # it says so, of one executor maybe
                self._schedule(0)
        if isinstance(error, FlowError):
            if isinstance(error, QueueFull) and error.retry_after is None:
                error.retry_after = 1
            if isinstance(error, PayloadTooLarge) and not error.executor:  # the server would not read it
                error.begun = False
            error.executor = error.executor or self.name
            error.response = None
        return failure

    def _ask(self, timeout: float) -> Deferred[Any]:
        """Ask for the endpoints, and how it does. Never fails."""
        if self._asking is not None:
            return succeed(None)
        self._asked_at = self._now()
        self._asking = asking = catalogue_of(self._questions, timeout, self._clock)
        asking.addCallbacks(self._told, self._not_told).addBoth(self._asked)
        return asking

    def _asked(self, outcome: object) -> None:
        self._asking = None
        if isinstance(outcome, Failure):
            log.failure("executor {name}: what {url} told makes no sense", outcome, name=self.name, url=self.url)
        if self.health in ("unhealthy", "failed"):
            self._schedule(_AGAIN)

    def _told(self, catalogue: Catalogue) -> None:
        self._max_body, self._ours = catalogue.max_body, catalogue.endpoints is not None
        if self.channel.most is None and catalogue.max_in_flight is not None:
            self.window = max(
                min(self._most, catalogue.max_in_flight - 1), 1
            )  # else it would not read what is cancelled
        if self._exchange is not None:
            self._exchange.max_body = self._max_body
        told = any_endpoint() if catalogue.endpoints is None else catalogue.endpoints
        if self._fixed:
            told = {name: told.get(name, each) for name, each in self.endpoints.items()}
        if told != self.endpoints:
            self.endpoints.clear()
            self.endpoints.update(told)
            self._generation.end()
        self._became("ready" if catalogue.ready else "unhealthy", Unavailable("it is not ready"))

    def _not_told(self, failure: Failure) -> None:
        error: Any = failure.value
        lost = isinstance(error, Unavailable) and error.response is None
        self._became("failed" if lost else "unhealthy", error)

    def _became(self, health: str, error: Any) -> None:
        if self.health in ("stopping", "stopped", health):
            return
        if health == "ready":
            if self.health != "starting":
                log.info("executor {name}: the flow at {url} is ready again", name=self.name, url=self.url)
        else:
            log.warn(
                "executor {name}: the flow at {url} is {health}: {error}; it is asked again every {again:g} s",
                name=self.name, url=self.url, health=health, error=one_line(error), again=_AGAIN,
            )  # fmt: skip
        self._enter(health)

    def _enter(self, health: str) -> None:
        self.health = health
        self._generation.end()

    def _schedule(self, seconds: float) -> None:
        self._stop_timer()
        self._again = self._clock.callLater(seconds, self._ask_again)

    def _ask_again(self) -> None:
        self._again = None
        if self.health in ("ready", "unhealthy", "failed"):
            self._ask(_PATIENCE)

    def _stop_timer(self) -> None:
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._again = None


def _answer(request: Request, ours: bool, response: Response) -> Response:
    """The response to *request*; the other flow's routes stand in it, and what it has done to the parameters.

    :param ours: whether it tells those: others may not.
    """
    if response.parameters or (ours and request.parameters):
        request = replace(request, parameters=response.parameters)
    return Response(request, response.docs, response.groundtruths, list(response.routes), response.status)
