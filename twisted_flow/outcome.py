"""The kinds of outcome that a dispatcher returns, and the helpers for those who wait for their end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from .document import DocumentArray
from .document.weight import weight
from .errors import PayloadTooLarge
from .maybe import MaybeDeferred
from .message import Request, Response, ResponseStream
from .parts import Parts

__all__ = ["Outcome", "as_stream", "collected", "dispatch_whole", "promised", "until_done"]

Outcome = Response | ResponseStream
"""A `Response` is over when it is there; a `ResponseStream` when its last part has been pulled, or it was cancelled."""

T = TypeVar("T")


def until_done(outcome: MaybeDeferred[Outcome], release: Callable[[], object]) -> MaybeDeferred[Outcome]:
    """*outcome*, and *release* is called once, when it is really over: whichever kind it is, and however it ends."""
    kind = type(outcome)
    if kind is Response:
        release()
        return outcome
    if kind is ResponseStream:
        cast(ResponseStream, outcome).parts.when_over(release)
        return outcome
    answer = cast("Deferred[Outcome]", outcome)
    return answer.addCallbacks(until_done, _failed, callbackArgs=(release,), errbackArgs=(release,))


def _failed(failure: Failure, release: Callable[[], object]) -> Failure:
    release()
    return failure


def collected(outcome: MaybeDeferred[Outcome]) -> MaybeDeferred[Response]:
    """*outcome* as one Response: the parts of a stream are pulled and joined.

    Cancelling, where it is a Deferred, cancels the stream.
    """
    kind = type(outcome)
    if kind is Response:
        return cast(Response, outcome)
    if kind is not ResponseStream:
        return cast("Deferred[Outcome]", outcome).addCallback(collected)
    stream = cast(ResponseStream, outcome)
    docs = _all(stream.parts, DocumentArray())
    if type(docs) is DocumentArray:
        return _whole(docs, stream)
    return cast("Deferred[Any]", docs).addCallback(_whole, stream)


def _whole(docs: DocumentArray, stream: ResponseStream) -> Response:
    return Response(stream.request, docs, stream.request.groundtruths, stream.routes, stream.status)


def as_stream(outcome: Outcome) -> ResponseStream:
    """*outcome*, which may be whole, in parts."""
    if type(outcome) is ResponseStream:
        return outcome
    left = [outcome.docs] if outcome.docs else []
    parts = Parts(lambda: left.pop() if left else None)
    return ResponseStream(outcome.request, parts, outcome.routes, outcome.status)


def promised(coming: Deferred[Outcome], request: Request) -> ResponseStream:
    """The answer to *request* that is *coming*, as a stream that is there now: where its documents still come, a call
    may last for long, and takes no room meanwhile.
    """
    inner: Parts | None = None

    def came(outcome: Outcome) -> MaybeDeferred[DocumentArray | None]:
        nonlocal inner
        answer = as_stream(outcome)
        inner = answer.parts
        inner.when_over(lambda: _end(answer))
        return inner.pull()

    def _end(answer: ResponseStream) -> None:
        stream.routes, stream.status = answer.routes, answer.status

    def pull() -> MaybeDeferred[DocumentArray | None]:
        return coming.addCallback(came) if inner is None else inner.pull()

    def cancel() -> None:
        if inner is not None:
            inner.cancel()
        else:
            coming.addBoth(drop)
            coming.cancel()

    def drop(late: Outcome | Failure) -> None:
        if not isinstance(late, Failure):
            as_stream(late).parts.cancel()

    def rest(docs: DocumentArray) -> None:
        if inner is not None:
            inner.rest(docs)

    stream = ResponseStream(request, Parts(pull, cancel, rest), [])
    return stream


def dispatch_whole(request: Request, dispatch: Callable[[Request], MaybeDeferred[Outcome]]) -> MaybeDeferred[Outcome]:
    """Call *dispatch*, which needs a list of documents, once all documents of *request* have come.

    :raises PayloadTooLarge: what else the Deferred would fail with, if they are more than `Parts.bound` allows.
    """
    whole = _whole_request(request)
    if type(whole) is Request:
        return dispatch(whole)
    return whole.addCallback(dispatch)


def _whole_request(request: Request) -> MaybeDeferred[Request]:
    if request.parts is None:
        return request
    docs = _all(_bounded(request.parts, request.docs), DocumentArray(request.docs))
    complete = partial(replace, request, parts=None)
    if type(docs) is DocumentArray:
        return complete(docs=docs)
    return cast("Deferred[Any]", docs).addCallback(lambda docs: complete(docs=docs))


def _bounded(parts: Parts, first: DocumentArray) -> Parts:
    """*parts*, which are collected behind *first*: too many of them fail."""
    size, number, bound = weight(first), len(first), parts.bound

    def count(part: DocumentArray | None) -> DocumentArray | None:
        nonlocal size, number
        if part is not None:
            more = weight(part)
            size, number = size + more, number + len(part)
            parts.collecting(more)
            if size > bound.max_body or number > bound.max_documents:
                parts.cancel()
                raise PayloadTooLarge(
                    f"more than {bound.max_body} bytes or {bound.max_documents} documents have come, and the endpoint "
                    "takes them all at once"
                )
        return part

    def pull() -> MaybeDeferred[DocumentArray | None]:
        part = parts.pull()
        return part.addCallback(count) if isinstance(part, Deferred) else count(part)

    return Parts(pull, parts.cancel)


def _all(parts: Parts, docs: DocumentArray) -> MaybeDeferred[DocumentArray]:
    """*docs*, and all that *parts* has."""
    while type(part := parts.pull()) is DocumentArray:
        docs.extend(part)
    return docs if part is None else ensureDeferred(_go_on(parts, cast("Deferred[DocumentArray | None]", part), docs))


async def _go_on(parts: Parts, awaited: Deferred[DocumentArray | None], docs: DocumentArray) -> DocumentArray:
    part: DocumentArray | None = await awaited
    while part is not None:
        docs.extend(part)
        pulled = parts.pull()
        part = pulled if pulled is None or type(pulled) is DocumentArray else await cast("Deferred[Any]", pulled)
    return docs
