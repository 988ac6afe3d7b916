"""The two ways to use a client: from the caller's thread, or on the caller's event loop. Sockets are the reactor's."""

from __future__ import annotations

import queue
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..errors import FlowError
from ..interfaces import IExchange
from ..loop import Mailbox, from_thread, run_in_reactor
from ..message import Request, Response
from .inputs import Asking, requests_of_async
from .meanwhile import Meanwhile
from .sending import Sending
from .told import Told

__all__ = ["post_in_thread", "post_on_loop"]

Connect = Callable[[], Deferred[IExchange]]
"""On the reactor: a new exchange."""


def post_in_thread(
    connect: Connect, window: int, requests: Iterator[Request], told: Told, lazy: bool
) -> Iterator[Response]:
    """Send *requests*; what comes back.

    :param window: requests in flight.
    :param lazy: whether making a request may take long, or need the answers to earlier ones.
    """
    try:
        exchange: IExchange = run_in_reactor(connect)
    except FlowError:
        yield from told.take(0, Failure())
        return
    call, sending = from_thread(), Sending(exchange)
    outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
    meanwhile = Meanwhile(outcomes, lambda outcome: told.take(*outcome))
    in_flight = 0
    try:
        try:
            while (request := meanwhile.next_of(requests) if lazy else next(requests, None)) is not None:
                in_flight -= len(meanwhile.told)
                yield from _told_meanwhile(meanwhile)
                call(sending.send, request, outcomes.put)
                in_flight += 1
                while in_flight and (in_flight >= window or not outcomes.empty()):
                    in_flight -= 1
                    yield from told.take(*outcomes.get())
        finally:
            meanwhile.end()
            call(exchange.end)
        in_flight -= len(meanwhile.told)
        yield from _told_meanwhile(meanwhile)
        while in_flight:
            in_flight -= 1
            yield from told.take(*outcomes.get())
    except BaseException as error:
        if not isinstance(error, Exception):  # interrupted, or closed before its end
            call(sending.cancel)
        raise
    told.end()


def _told_meanwhile(meanwhile: Meanwhile) -> Iterator[Response]:
    told, meanwhile.told = meanwhile.told, []
    for each in told:
        if isinstance(each, BaseException):
            raise each
        yield from each


async def post_on_loop(
    connect: Connect, window: int, inputs: object, asking: Asking, told: Told
) -> AsyncIterator[Response]:
    """Send *inputs*; what comes back."""
    mail: Mailbox[tuple[str, Any]] = Mailbox()
    call = mail.start()
    call(lambda: connect().addBoth(lambda exchange: mail.put(("connected", exchange))))
    _, exchange = await mail.get()
    if isinstance(exchange, Failure):
        for response in told.take(0, exchange):
            yield response
        return
    sending = Sending(exchange)
    mail.feed(requests_of_async(inputs, asking), window, lambda last, item: ("end" if last else "request", item))
    in_flight, ended = 0, False
    try:
        while in_flight or not ended:
            kind, item = await mail.get()
            if kind == "request":
                call(sending.send, item, lambda outcome: mail.put(("answer", outcome)))
                in_flight += 1
            elif kind == "end":
                ended = True
                call(exchange.end)
                if item is not None:
                    raise item
            else:
                in_flight -= 1
                mail.more()
                for response in told.take(*item):
                    yield response
    except BaseException as error:
        if not isinstance(error, Exception):  # cancelled, or closed before its end
            call(sending.cancel)
        raise
    finally:
        mail.stop()
        if not ended:
            call(exchange.end)
    told.end()
