"""Sending on the reactor, with the client's own timeout: a server that hangs would never report one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..errors import DeadlineExceeded, FlowError, Unavailable
from ..interfaces import IChannel, IExchange
from ..message import Request

__all__ = ["connected", "send"]

_MARGIN = 0.25  # seconds that the server's own word for it may take
_LEAST, _CONNECTING = 1.0, 10.0  # seconds for that alone


def connected(channel: IChannel, address: str, timeout: float | None) -> Deferred[IExchange]:
    """A new exchange on *channel*.

    :param timeout: seconds that the caller gives each request.
    :return: fails with `Unavailable`, or with `DeadlineExceeded` when those are over.
    """
    seconds = min(max(timeout or _CONNECTING, _LEAST), _CONNECTING)
    error: type[FlowError] = DeadlineExceeded if timeout is not None and timeout <= seconds else Unavailable
    exchange: Deferred[IExchange] = channel.exchange()
    return _within(exchange, seconds, error, f"no connection to {address} within {seconds:g} s")


def send(exchange: IExchange, request: Request, put: Callable[[object], None]) -> None:
    """Send *request*, and *put* how many documents it has, and what becomes of it: a `Response` or a Failure."""
    documents = len(request.docs)

    def answered(outcome: object) -> None:
        put((documents, outcome))

    try:
        answer: Deferred[Any] = exchange.send(request)
    except Exception:  # what cannot be encoded
        answered(Failure())
        return
    seconds = request.timeout
    if seconds is not None:
        answer = _within(answer, seconds + _MARGIN, DeadlineExceeded, f"no answer within {seconds:g} s")
    answer.addBoth(answered)


def _within(waiting: Deferred[Any], seconds: float, error: type[FlowError], detail: str) -> Deferred[Any]:
    from twisted.internet import reactor  # chosen by now

    return waiting.addTimeout(seconds, cast(IReactorTime, reactor), lambda _, __: Failure(error(detail)))
