"""One request over HTTP whose answer comes in parts, as lines of JSON, on a connection of its own."""

from __future__ import annotations

from typing import Any

import httptools
import msgspec
from twisted.internet.protocol import Protocol

from ..codec import json
from ..document import Document, DocumentArray
from ..document.check import received
from ..errors import FlowError, Unavailable, ValidationError
from ..loop.connecting import reset
from ..message import Request, Response, Route, Status
from .incoming import Incoming
from .problem import refused

__all__ = ["StreamConnection"]

_LINES = b"application/jsonl"

_decode_document = msgspec.json.Decoder(Document).decode


class _End(msgspec.Struct):
    """The last line of an answer that ended well."""

    status: Status
    routes: list[Route] = []


class StreamConnection(Protocol):
    """See the module.

    :param address: of the server, for errors.
    """

    transport: Any

    def __init__(self, address: str, request: Request) -> None:
        self.address = address
        self.incoming = Incoming(request, self._pause, lambda: reset(self.transport))
        self._parser = httptools.HttpResponseParser(self)
        self._rest = bytearray()
        self._whole = True  # whether the answer is not in lines
        self._over = False

    def _pause(self, paused: bool) -> None:
        (self.transport.pauseProducing if paused else self.transport.resumeProducing)()

    def dataReceived(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(Unavailable(f"the server at {self.address} does not speak HTTP: {error.__context__ or error}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if name.lower() == b"content-type" and value.strip() == _LINES:
            self._whole = False

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self._rest += part
        if self._whole or b"\n" not in part:
            return
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        docs = DocumentArray()
        for line in lines:
            if self._over:
                return
            try:
                document = _decode_document(line)
            except msgspec.DecodeError:
                self._last(line, docs)
            else:
                docs.append(document)
        if docs and not self._over:
            self._put(docs)

    def _put(self, docs: DocumentArray) -> None:
        try:
            received(docs, "")
        except ValidationError as error:
            self._end(Unavailable(f"the server's answer makes no sense: {error}"))
        else:
            self.incoming.put(docs)

    def _last(self, line: bytes, docs: DocumentArray) -> None:
        """*line*, which is no document, is the end, behind *docs*."""
        if docs:
            self._put(docs)
        try:
            end = msgspec.json.decode(line, type=_End)
        except msgspec.DecodeError:
            self._end(refused(self._parser.get_status_code(), line))
            return
        nothing = DocumentArray()
        self._over = True
        self.incoming.answered(Response(self.incoming.stream.request, nothing, nothing, end.routes, end.status))

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < 200 or self._over:
            return
        body = bytes(self._rest)
        if not self._whole or status >= 300:
            self._end(refused(status, body))
            return
        try:
            response = json.decode_response(body)  # of a server that knows no parts
        except FlowError as error:
            self._end(Unavailable(f"the server's answer makes no sense: {error}"))
        else:
            self._over = True
            self.incoming.answered(response)

    def connectionLost(self, reason: object = None) -> None:
        self._end(Unavailable(f"the connection to {self.address} was lost"))

    def _end(self, error: FlowError) -> None:
        if not self._over:
            self._over = True
            self.incoming.over(error)
