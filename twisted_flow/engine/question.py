"""Asking a flow that is elsewhere for its catalogue."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..document.identity import new_id
from ..errors import NotFound
from ..executor.catalogue import ASKED, Catalogue, catalogue_in
from ..interfaces import IChannel, IExchange
from ..message import Header, Request, Response, StatusCode, error_in

__all__ = ["catalogue_of", "greeted", "succeeded"]


def catalogue_of(channel: IChannel, timeout: float, clock: IReactorTime) -> Deferred[Catalogue]:
    """The catalogue of the flow at the other end of *channel*, on which there is nothing else.

    :return: fails with what the flow answers, with `Unavailable` where it cannot be reached, or with a TimeoutError.
    """
    answer = channel.exchange().addCallback(_put, timeout).addTimeout(timeout, clock)
    return answer.addCallbacks(lambda response: catalogue_in(response.parameters), _none)


def _put(exchange: IExchange, timeout: float) -> Deferred[Response]:
    answer = _ask(exchange, timeout).addCallback(succeeded)
    exchange.end()  # some answer only then
    return answer


def _ask(exchange: IExchange, timeout: float) -> Deferred[Response]:
    nothing = DocumentArray()
    header = Header(ASKED)
    return exchange.send(
        Request(request_id=new_id(), header=header, docs=nothing, groundtruths=nothing, parameters={}, timeout=timeout)
    )


def greeted(exchange: IExchange, timeout: float) -> Deferred[IExchange]:
    """*exchange*, once it has brought an answer: before that a server does not read more than 16 requests."""
    return _ask(exchange, timeout).addCallback(lambda _: exchange)


def _none(failure: Failure) -> Catalogue:
    if failure.check(NotFound):  # it is there, but knows no such question
        return Catalogue(None)
    failure.raiseException()
    raise AssertionError  # for type checkers, as that always raises


def succeeded(response: Response) -> Response:
    """*response*, if it is no error.

    :raises FlowError: which has it as its ``response``.
    """
    if response.status.code < StatusCode.ERROR:
        return response
    error = error_in(response.status)
    error.response, error.routes = response, list(response.routes)
    raise error
