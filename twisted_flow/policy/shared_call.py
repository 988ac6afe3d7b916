"""A call that several requests share: it is made of their documents, and each gets its own back."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from itertools import chain
from operator import is_
from typing import Any, cast

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..document.copies import copied
from ..document.identity import new_id
from ..document.values import plain_value
from ..errors import ExecutorError, FlowError
from ..message import Request, Response, copied_parameters
from ..outcome import Outcome

__all__ = ["Key", "Member", "Piece", "SharedCall", "key_of"]

_encode = msgspec.msgpack.Encoder(enc_hook=plain_value, order="deterministic").encode

Key = object
"""What requests have in common that share a call; hashable."""


def key_of(request: Request) -> Key:
    """See `Key`: the endpoint, who asks, and equal parameters, where 1 is neither True nor 1.0."""
    truths = len(request.groundtruths)
    if truths and truths != len(request.docs):
        return object()  # they are no pairs: it goes alone
    parameters = request.parameters
    try:
        encoded = _encode(parameters) if parameters else b""
    except Exception:  # whatever an earlier executor has put there
        return object()
    return request.header.exec_endpoint, request.principal, encoded, truths > 0


class Member:
    """A request that shares calls with others: one, or several where it has more documents than a call takes.

    :param size: documents that a call takes.
    """

    __slots__ = ("answer", "pieces", "request")

    def __init__(self, request: Request, size: int) -> None:
        self.request = request
        self.answer: Deferred[Outcome] = Deferred(self._cancel)
        docs, truths = request.docs, request.groundtruths
        if len(docs) <= size:
            self.pieces = [Piece(self, docs, truths)]
        else:
            ends = [*range(size, len(docs), size), max(len(docs), len(truths))]  # whatever comes after is the last's
            starts = range(0, len(docs), size)
            self.pieces = [
                Piece(self, docs[start:end], truths[start:end]) for start, end in zip(starts, ends, strict=True)
            ]

    def _cancel(self, _: object = None) -> None:
        for piece in self.pieces:
            piece.leave()

    def came(self) -> None:
        """One of its pieces has been answered."""
        answers = [piece.answer for piece in self.pieces]
        if None in answers or self.answer.called:  # it may leave while another one of its call is told
            return
        self.pieces = []  # no cycle is left to the garbage collector
        first, *others = cast("list[Response]", answers)
        if others:
            docs = DocumentArray(chain.from_iterable(each.docs for each in (first, *others)))
            truths = DocumentArray(chain.from_iterable(each.groundtruths for each in (first, *others)))
            routes = [route for each in (first, *others) for route in each.routes]
            first = Response(first.request, docs, truths, routes, first.status)
        self.answer.callback(first)

    def failed(self, failure: Failure) -> None:
        """One of its pieces has failed: the others need not go on."""
        if not self.answer.called:
            self._cancel()
            self.pieces = []
            self.answer.errback(failure)


class Piece:
    """Documents of a member that go into one call."""

    __slots__ = ("answer", "call", "docs", "gone", "groundtruths", "member")

    def __init__(self, member: Member, docs: DocumentArray, groundtruths: DocumentArray) -> None:
        self.member, self.docs, self.groundtruths = member, docs, groundtruths
        self.answer: Response | None = None
        self.call: SharedCall | None = None
        self.gone = False
        """Whether nobody waits for it."""

    @property
    def weight(self) -> int:
        """Its documents; a request without any counts as one, so that there is an end to them."""
        return len(self.docs) or 1

    def leave(self) -> None:
        """Its member does not wait any more."""
        if self.answer is None and not self.gone and self.call is not None:
            self.gone = True
            self.call.left(self)


class SharedCall:
    """See the module. It gathers pieces, is sent, and is answered.

    :param key: what its pieces have in common.
    :param number: of the calls of one batcher, the later the higher.
    :param empty: called when all its pieces have left before it was sent.
    """

    __slots__ = ("_before", "_empty", "alarm", "alone", "answer", "key", "number", "pieces", "sent", "size", "spares")

    def __init__(self, key: Key, number: int, empty: Callable[[SharedCall], object]) -> None:
        self.key, self.number, self._empty = key, number, empty
        self.pieces: list[Piece] = []
        self.size = 0
        self.alarm: Any = None
        self.sent = False
        self.alone = False
        """Whether it is one of those over which a process has ended."""
        self.answer: Deferred[Response] | None = None
        """What is cancelled where nobody waits for it any more."""
        self.spares: list[tuple[DocumentArray, DocumentArray]] = []
        """The documents of each piece as they were, where that was asked for."""
        self._before: list[Any] = []

    @property
    def endpoint(self) -> str:
        """Of all its requests."""
        return self.pieces[0].member.request.header.exec_endpoint

    def add(self, piece: Piece) -> None:
        """Take *piece* along."""
        self.pieces.append(piece)
        self.size += piece.weight
        piece.call = self

    def left(self, piece: Piece) -> None:
        """Nobody waits for *piece*; where that holds for all, the call is cancelled."""
        if not self.sent:
            self.pieces.remove(piece)
            self.size -= piece.weight
            if not self.pieces:
                self._empty(self)
        elif self.answer is not None and all(each.gone for each in self.pieces):
            self.answer.cancel()

    def request(self, keep: bool) -> Request:
        """The request that is sent. Its deadline is the latest of all.

        :param keep: whether the documents are needed as they are now, for a call of each alone.
        """
        self.sent = True
        first = self.pieces[0]
        request = first.member.request
        if len(self.pieces) > 1:
            deadlines = [piece.member.request.deadline for piece in self.pieces]
            request = replace(
                request,
                request_id=new_id(),
                docs=DocumentArray(chain.from_iterable(piece.docs for piece in self.pieces)),
                groundtruths=DocumentArray(chain.from_iterable(piece.groundtruths for piece in self.pieces)),
                parameters=copied_parameters(request.parameters),
                deadline=None if None in deadlines else max(cast("list[float]", deadlines)),
            )
            if keep:
                self.spares = [(copied(piece.docs), copied(piece.groundtruths)) for piece in self.pieces]
        elif first.docs is not request.docs:  # a part of its request, or called again
            parameters = copied_parameters(request.parameters)
            request = replace(request, docs=first.docs, groundtruths=first.groundtruths, parameters=parameters)
        self._before = list(request.docs)
        return request

    def divide(self, response: Response) -> None:
        """Give each piece its part of *response*.

        :raises ExecutorError: if the documents are not those of the call, each in its place; what the method does.
        """
        self._check(response)
        docs, truths = response.docs, response.groundtruths
        same = all(map(is_, docs, self._before))
        changed = _changed(self.pieces[0].member.request, response.request)
        end = truths_end = 0
        for piece in self.pieces:
            begin, truths_begin = end, truths_end
            end, truths_end = begin + len(piece.docs), truths_begin + len(piece.groundtruths)
            if piece.gone:
                continue
            request = piece.member.request
            if changed:
                request = replace(request, parameters=copied_parameters(response.request.parameters))
            piece.answer = Response(
                request,
                piece.docs if same else DocumentArray(docs[begin:end]),
                DocumentArray(truths[truths_begin:truths_end]) if truths else piece.groundtruths,
                list(response.routes),
                response.status,
                in_place=same and piece.docs is request.docs,
            )
        pieces, self.pieces = self.pieces, []
        for piece in pieces:
            if not piece.gone:
                piece.member.came()

    def _check(self, response: Response) -> None:
        before, after = self._before, response.docs
        if len(after) != len(before):
            raise ExecutorError(f"returned {len(after)} documents for {len(before)}")
        others = [new.id for old, new in zip(before, after, strict=True) if new is not old and new.id != old.id]
        if others and not {old.id for old in before}.isdisjoint(others):
            raise ExecutorError("returned its documents in another order")
        if len(response.groundtruths) != sum(len(piece.groundtruths) for piece in self.pieces):
            raise ExecutorError("changed the number of its groundtruths")

    def fail(self, failure: Failure) -> None:
        """Fail all that wait, each by an error of its own."""
        waiting = [piece.member for piece in self.pieces if not piece.gone]
        self.pieces = []
        error: Any = failure.value
        shared = len(waiting) > 1 and isinstance(error, FlowError)
        for member in waiting:
            member.failed(Failure(_twin(error)) if shared else failure)


def _changed(before: Request, after: Request) -> bool:
    """Whether the method has changed its parameters."""
    old, new = before.parameters, after.parameters
    if new is old or not (old or new):
        return False
    try:
        return _encode(old) != _encode(new)
    except Exception:  # whatever the method has put there
        return True


def _twin(error: FlowError) -> FlowError:
    """*error* for one of several requests, each of which adds its routes, and lets go of the frames behind it."""
    twin = copy(error)
    twin.routes = list(error.routes)
    cause = error.__cause__
    if cause is not None:
        try:
            other = copy(cause)
        except Exception:  # a user's class may not be copied: all share it
            other = cause
        other.__traceback__, other.__cause__, other.__context__ = (
            cause.__traceback__,
            cause.__cause__,
            cause.__context__,
        )
        other.__suppress_context__ = cause.__suppress_context__
        twin.__cause__ = other
    return twin
