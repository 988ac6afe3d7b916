"""Calling a user's method: what goes in, and what may come out."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Coroutine, Iterable
from inspect import isasyncgen, isgenerator
from typing import Any

import msgspec

from ..document import Document, DocumentArray
from ..document.spelling import located
from ..errors import ExecutorError, FlowError, Reject
from ..message import Request, Response
from .table import ALWAYS, Endpoint

__all__ = ["Context", "caller", "error_of", "response_to"]


class Context:
    """What a method that names ``context`` is told of the request it answers."""

    __slots__ = ("cancelled", "deadline", "principal", "request_id")

    def __init__(self, request: Request) -> None:
        self.request_id = request.request_id
        self.deadline = request.deadline
        """When the caller stops waiting, in seconds of ``time.monotonic``; None if never."""
        self.principal: str | None = None
        """Who calls, where that is known."""
        self.cancelled = False
        """Whether the caller has gone: what is still to do would be done for nobody."""


_GETTERS: dict[str, Callable[[Request], Any]] = {
    "docs": lambda request: request.docs,
    "parameters": lambda request: request.parameters,
    "groundtruths": lambda request: request.groundtruths,
    "docs_matrix": lambda request: request.docs_matrix or [request.docs],
    "groundtruths_matrix": lambda request: request.groundtruths_matrix or [request.groundtruths],
}


def caller(method: Callable[..., Any], endpoint: Endpoint) -> Callable[[Request, Context], Any]:
    """A function that calls *method* with what it wants of a request."""
    call = _with_arguments(method, endpoint)
    return call if endpoint.waits else lambda request, context: _at_once(call(request, context))


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What *coroutine*, which never waits, returns. A task would cost more than most such methods."""
    try:
        contextvars.Context().run(coroutine.send, None)  # nothing of another request shows through, as in a task
    except StopIteration as done:
        return done.value
    raise RuntimeError("waits, though its code has no await")


def _with_arguments(method: Callable[..., Any], endpoint: Endpoint) -> Callable[[Request, Context], Any]:
    if endpoint.wants == ("docs",):
        return lambda request, context: method(docs=request.docs)
    plain = endpoint.parameters is None and endpoint.branches == "joined"
    if endpoint.wants == ALWAYS and plain:  # ``docs, **kwargs``, as most say: without a loop
        return lambda request, context: method(
            docs=request.docs,
            parameters=request.parameters,
            groundtruths=request.groundtruths,
            docs_matrix=[request.docs],
            groundtruths_matrix=[request.groundtruths],
        )
    getters = [(name, _GETTERS[name]) for name in endpoint.wants if name != "context"]
    if endpoint.parameters is not None:
        getters = [(name, _typed(endpoint.parameters) if name == "parameters" else get) for name, get in getters]
    if "context" not in endpoint.wants:
        return lambda request, context: method(**{name: get(request) for name, get in getters})
    return lambda request, context: method(context=context, **{name: get(request) for name, get in getters})


def _typed(kind: Any) -> Callable[[Request], Any]:
    """How a method gets parameters of the type *kind*; what they are not is the caller's mistake."""

    def get(request: Request) -> Any:
        try:
            return msgspec.convert(request.parameters, kind)
        except msgspec.ValidationError as wrong:
            raise located(wrong, request.parameters).below("/parameters") from None

    return get


def response_to(request: Request, result: Any) -> Response:
    """The response to *request*, made of what the method returned; a generator is run to its end.

    :raises ExecutorError: if that is neither None nor documents.
    """
    if result is None:
        docs = request.docs
    elif isinstance(result, Document):
        docs = DocumentArray([result])
    elif isgenerator(result) or (isinstance(result, list | tuple) and type(result) is not DocumentArray):
        docs = _documents(result)
    elif type(result) is DocumentArray:
        docs = result
    else:
        raise ExecutorError(f"returned {type(result).__name__}, where None or documents are asked for")
    if not _ONLY_DOCUMENTS.issuperset(map(type, docs)):
        _documents(docs)  # which says what is wrong
    return Response(request, docs, request.groundtruths, [])


_ONLY_DOCUMENTS = frozenset([Document])


def _documents(items: Iterable[Any]) -> DocumentArray:
    documents = DocumentArray()
    for item in items:
        if isinstance(item, Document):
            documents.append(item)
        elif isinstance(item, list | tuple):
            documents.extend(_documents(item))
        else:
            raise ExecutorError(f"returned {type(item).__name__} among its documents")
    return documents


async def awaited(result: Any) -> Any:
    """What *result*, a coroutine or an asynchronous generator, comes to."""
    if isasyncgen(result):
        return [item async for item in result]
    return await result


def error_of(raised: BaseException | None, name: str) -> FlowError:
    """The error that the caller is told when the method of the executor called *name* raised *raised*."""
    if isinstance(raised, Reject):
        raised.error.executor = name
        return raised.error
    if isinstance(raised, FlowError):
        if isinstance(raised, ExecutorError) and not raised.executor:  # of `response_to`
            raised.detail = f"executor {name!r} {raised.detail}"
        raised.executor = raised.executor or name
        return raised
    error = ExecutorError(f"executor {name!r} raised {type(raised).__name__}", executor=name)
    error.__cause__ = raised
    return error
