"""A line protocol: one JSON document a line in, one out, in order. See `gateway`."""

from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer

from twisted_flow.answer import Answer, Entry, answer
from twisted_flow.codec.codecs import codec_of
from twisted_flow.gateway.port import Port


def gateway(served: Any) -> Port:
    """What ``--protocol=lines`` starts."""
    port = Port("lines", served)
    entry = Entry(gateway=port.gateway, write_error=write_error, endpoint="/")
    ask = partial(answer, codec=codec_of().codec, dispatcher=served.dispatcher, entry=entry)
    port.factory = Factory.forProtocol(partial(Lines, port, ask))
    return port


def write_error(error: Any, request_id: str, request: Any) -> Answer:
    """How an error is told: as a line too."""
    return Answer(msgspec.json.encode({"error": error.name, "detail": error.detail}), "", error, request_id)


@implementer(IHalfCloseableProtocol)
class Lines(LineReceiver):
    """One connection; what its gateway's `Port` asks of it are `drain`, `cut` and `sweep`."""

    transport: Any
    delimiter, busy, last = b"\n", False, False

    def __init__(self, port: Port, ask: Any) -> None:
        self.connections, self.ask, self.MAX_LENGTH = port.connections, ask, port.limits.max_body

    def connectionMade(self) -> None:
        self.connections.add(self)

    def lineReceived(self, line: bytes) -> None:
        self.pauseProducing()  # one at a time
        self.busy = True
        self.asked = maybeDeferred(self.ask, b'{"data": [%b]}' % line).addCallback(self.answered)

    def answered(self, done: Answer) -> None:
        self.busy = False
        docs = [] if done.error else msgspec.json.decode(done.body)["data"]["docs"]
        self.sendLine(msgspec.json.encode(docs[0]) if docs else done.body)
        self.resumeProducing()
        self.drain() if self.last else None

    def drain(self) -> None:
        self.last = True
        if not self.busy:
            self.transport.loseConnection()

    def cut(self, reason: Any = None) -> None:
        if self.busy:
            self.asked.cancel()

    def connectionLost(self, reason: Any = None) -> None:
        self.connections.remove(self)
        self.cut()

    def sweep(self, second: int) -> None: ...

    readConnectionLost = writeConnectionLost = drain
