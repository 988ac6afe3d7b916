"""An answer in parts from a flow elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..errors import FlowError
from ..interfaces import IStreamingChannel
from ..maybe import MaybeDeferred
from ..message import Request, ResponseStream
from ..outcome import Outcome
from ..parts import Parts
from ..worker.messages import not_sendable

__all__ = ["streamed"]


def streamed(
    channel: IStreamingChannel, asked: Request, request: Request, name: str, failed: Callable[[Failure], Failure]
) -> Deferred[Outcome]:
    """The answer to *request*, which is *asked* over *channel*.

    :param name: the executor's.
    :param failed: is told of each failure, and changes its error to what the caller is told.
    """

    def came(stream: ResponseStream) -> Outcome:
        inner = stream.parts

        def pull() -> MaybeDeferred[DocumentArray | None]:
            try:
                part = inner.pull()
            except FlowError:
                failed(Failure())
                raise
            return part.addErrback(failed) if isinstance(part, Deferred) else part

        stream.request, stream.parts = request, Parts(pull, inner.cancel, inner.rest)
        return stream

    try:
        waiting: Deferred[ResponseStream] = channel.stream(asked)
    except Exception as raised:  # an earlier executor of the flow has put it there
        error = not_sendable(raised, request, f"what executor {name!r} takes")
        error.begun = False
        return fail(error)
    return waiting.addCallbacks(came, failed)
