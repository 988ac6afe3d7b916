"""Sending on the reactor, with the client's own timeout: a server that hangs would never report one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..errors import DeadlineExceeded, FlowError, Unavailable
from ..interfaces import IChannel, IExchange, IStreamingChannel
from ..message import Request, ResponseStream

__all__ = ["MARGIN", "Sending", "begun", "connected"]

T = TypeVar("T")

MARGIN = 0.25
"""Seconds that the server's own word for a timeout may take."""

_LEAST, _CONNECTING = 1.0, 10.0  # seconds for that alone


def connected(channel: IChannel, address: str, timeout: float | None) -> Deferred[IExchange]:
    """A new exchange on *channel*.

    :param timeout: seconds that the caller gives each request.
    :return: fails with `Unavailable`, or with `DeadlineExceeded` when those are over.
    """
    return _in_time(channel.exchange(), address, timeout)


def begun(
    channel: IStreamingChannel, request: Request, address: str, timeout: float | None
) -> Deferred[ResponseStream]:
    """*request*, sent on *channel*; its answer comes in parts. See `connected`."""
    return _in_time(channel.stream(request), address, timeout)


def _in_time(connecting: Deferred[T], address: str, timeout: float | None) -> Deferred[T]:
    seconds = min(max(timeout or _CONNECTING, _LEAST), _CONNECTING)
    error: type[FlowError] = DeadlineExceeded if timeout is not None and timeout <= seconds else Unavailable
    return _within(connecting, seconds, error, f"no connection to {address} within {seconds:g} s")


class Sending:
    """What one call of `Client.post` sends on *exchange*."""

    def __init__(self, exchange: IExchange) -> None:
        self.exchange = exchange
        self._open: set[Deferred[Any]] = set()

    def send(self, request: Request, put: Callable[[object], None]) -> None:
        """Send *request*, and *put* how many documents it has, and what becomes of it: a `Response` or a Failure."""
        documents = len(request.docs)

        def answered(outcome: object) -> None:
            self._open.discard(answer)
            put((documents, outcome))

        try:
            answer: Deferred[Any] = self.exchange.send(request)
        except Exception:  # what cannot be encoded
            put((documents, Failure()))
            return
        seconds = request.timeout
        if seconds is not None:
            answer = _within(answer, seconds + MARGIN, DeadlineExceeded, f"no answer within {seconds:g} s")
        self._open.add(answer)
        answer.addBoth(answered)

    def cancel(self) -> None:
        """The caller waits no longer: end what is under way, at the server too."""
        for answer in list(self._open):
            answer.cancel()


def _within(waiting: Deferred[Any], seconds: float, error: type[FlowError], detail: str) -> Deferred[Any]:
    from twisted.internet import reactor  # chosen by now

    return waiting.addTimeout(seconds, cast(IReactorTime, reactor), lambda _, __: Failure(error(detail)))
