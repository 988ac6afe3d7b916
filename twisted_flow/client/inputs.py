"""Requests from whatever a user may send: documents, texts, arrays, generators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import numpy as np
from msgspec import Struct

from ..document import Document, DocumentArray
from ..document.identity import new_id
from ..limits import SHORTEST_TIMEOUT
from ..message import Header, Parameters, Request

__all__ = ["Asking", "are_there", "asking_for", "document_of", "requests_of", "requests_of_async"]

_SINGLE = (Document, dict, str, bytes, np.ndarray)


class Asking(Struct, frozen=True):
    """What is the same for all requests of one call."""

    header: Header
    parameters: Parameters
    size: int
    """Documents in a request."""
    timeout: float | None

    def request(self, pairs: list[tuple[Document, Document | None]]) -> Request:
        """A request with these documents, each with what it should become, if that is known."""
        return Request(
            request_id=new_id(),
            header=self.header,
            docs=DocumentArray(document for document, _ in pairs),
            groundtruths=DocumentArray(truth for _, truth in pairs if truth is not None),
            parameters=self.parameters,
            timeout=None if self.timeout is None else max(self.timeout, SHORTEST_TIMEOUT),
        )


def asking_for(on: str, target_peapod: str, parameters: Parameters | None, size: int, timeout: float | None) -> Asking:
    """What a call asks; see `Client.post`.

    :raises TypeError: if the parameters are no dict.
    """
    if not isinstance(parameters, dict | None):
        raise TypeError(f"parameters={parameters!r}: they are a dict")
    return Asking(Header(on, target_peapod), parameters or {}, size, timeout)


class _Gathered:
    """Collects documents until they fill a request."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.pairs: list[tuple[Document, Document | None]] = []
        self.any = False

    def add(self, item: object) -> Iterator[Request]:
        """Add a document; return a request if that fills one."""
        self.pairs.append(_pair(item))
        self.any = True
        if len(self.pairs) == self.asking.size:
            yield from self.rest()

    def rest(self) -> Iterator[Request]:
        """The last request: the remaining documents, or none if there never were any."""
        pairs, self.pairs = self.pairs, []
        if pairs or not self.any:
            self.any = True
            yield self.asking.request(pairs)


def _called(inputs: Any) -> object:
    return inputs() if isinstance(inputs, Callable) and not isinstance(inputs, type) else inputs  # type: ignore[arg-type]


def are_there(inputs: object) -> bool:
    """Whether *inputs* are in memory, so that taking the next one never blocks."""
    return inputs is None or isinstance(inputs, (*_SINGLE, list, tuple))


def is_async(inputs: object) -> bool:
    """Whether *inputs* come asynchronously."""
    return hasattr(inputs, "__aiter__")


def requests_of(inputs: object, asking: Asking) -> Iterator[Request]:
    """The requests that carry *inputs*, made one at a time: never all are in memory.

    :param inputs: None (one request without documents), a Document, dict, str, bytes or ndarray; any iterable of such,
        or of tuples of a document and what it should become; or a function that returns any of these.
    :raises TypeError: on anything else.
    """
    inputs = _called(inputs)
    if inputs is None:
        yield asking.request([])
        return
    if isinstance(inputs, _SINGLE):
        inputs = [inputs]
    if not isinstance(inputs, Iterable):
        raise TypeError(f"documents cannot be made of {type(inputs).__name__}")
    gathered = _Gathered(asking)
    for item in inputs:
        yield from gathered.add(item)
    yield from gathered.rest()


async def requests_of_async(inputs: Any, asking: Asking) -> AsyncIterator[Request]:
    """The same; *inputs* may be an asynchronous generator too, or a function that returns one."""
    inputs = _called(inputs)
    if not is_async(inputs):
        for request in requests_of(inputs, asking):
            yield request
        return
    gathered = _Gathered(asking)
    async for item in inputs:
        for request in gathered.add(item):
            yield request
    for request in gathered.rest():
        yield request


def _pair(item: object) -> tuple[Document, Document | None]:
    if isinstance(item, tuple):
        if len(item) != 2:
            raise TypeError("a tuple is a document and what it should become")
        return document_of(item[0]), document_of(item[1])
    return document_of(item), None


def document_of(item: object) -> Document:
    """The document that *item* is, or is made of.

    :raises TypeError: if that is none of a Document, dict, str, bytes or ndarray.
    """
    if isinstance(item, Document):
        return item
    if isinstance(item, dict):
        return Document.from_dict(item)
    if isinstance(item, str | bytes | np.ndarray):
        return Document(item)
    raise TypeError(f"a document cannot be made of {type(item).__name__}")
