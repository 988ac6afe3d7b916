"""Calling a user's method: what goes in, and what may come out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from inspect import isasyncgen, isgenerator
from typing import Any

from msgspec import Struct

from ..document import Document, DocumentArray
from ..errors import ExecutorError, FlowError, Reject
from ..message import Parameters, Request, Response
from .arrivals import Arrivals
from .parameters import converter
from .table import ALWAYS, Endpoint

__all__ = ["Call", "Context", "caller", "documents_of", "error_of", "part_of", "response_to"]


class Context(Struct, eq=False):
    """What a method gets that names ``context``: the id, deadline and caller of its request."""

    request_id: str
    deadline: float | None = None
    """When the caller stops waiting, in seconds of ``time.monotonic``; None if never."""
    principal: str | None = None
    """Who calls, where that is known."""
    cancelled: bool = False
    """Whether the caller has gone, so that nobody waits for the result."""
    traceparent: str = ""
    """W3C Trace Context of the request, where it has one, for what the method asks elsewhere."""
    tracestate: str = ""
    """The same."""
    arrivals: Arrivals | None = None
    """What a method gets as its ``docs`` that takes them as they come."""

    @classmethod
    def of(cls, request: Request) -> Context:
        """The context of the methods that answer *request*."""
        return cls(
            request.request_id,
            request.deadline,
            request.principal,
            traceparent=request.traceparent,
            tracestate=request.tracestate,
        )


_GETTERS: dict[str, Callable[[Request, Any], object]] = {
    "docs": lambda request, context: request.docs,
    "arrivals": lambda request, context: context.arrivals,
    "groundtruths": lambda request, context: request.groundtruths,
    "docs_matrix": lambda request, context: request.docs_matrix or [request.docs],
    "groundtruths_matrix": lambda request, context: request.groundtruths_matrix or [request.groundtruths],
    "context": lambda request, context: context,
}


Call = Callable[[Request, Context | None], Any]
"""How an endpoint is called. The context is None only on the direct way (`IDirect`), where no method asks for it."""


def caller(method: Callable[..., object], endpoint: Endpoint, names: Collection[str] = ()) -> Call:
    """A function that calls *method* with what it wants of a request.

    :param names: of the executor: parameters under one of them are its alone, and win over those for all.
    """
    own = partial(_own, tuple(names))
    wants = endpoint.wants
    whole = not endpoint.takes_parts
    if wants == ("docs",) and whole:
        return lambda request, context: method(docs=request.docs)
    plain = endpoint.parameters is None and endpoint.branches == "joined" and whole
    if wants == ("docs", "parameters") and plain:  # as most say: without a loop
        return lambda request, context: method(
            docs=request.docs, parameters=own(request.parameters) if request.parameters else request.parameters
        )
    if wants == ALWAYS and plain:

        def call(request: Request, context: Context | None) -> object:
            docs, groundtruths = request.docs, request.groundtruths
            return method(
                docs=docs,
                parameters=own(request.parameters) if request.parameters else request.parameters,
                groundtruths=groundtruths,
                docs_matrix=[docs],
                groundtruths_matrix=[groundtruths],
            )

        return call
    convert = own if endpoint.parameters is None else _typed(endpoint.parameters, own)
    getters = [(name, _GETTERS[name]) for name in wants if name != "parameters" and (whole or name != "docs")]
    if "parameters" in wants:
        getters.append(("parameters", lambda request, context: convert(request.parameters)))
    if not whole:
        getters.append(("docs", _GETTERS["arrivals"]))
    return lambda request, context: method(**{name: get(request, context) for name, get in getters})


def _own(names: tuple[str, ...], parameters: Parameters) -> Parameters:
    """*parameters*, overridden by those that are given for one of *names* alone."""
    for name in names:
        mine = parameters.get(name)
        if type(mine) is dict:
            parameters = parameters | mine
    return parameters


def _typed(kind: object, own: Callable[[Parameters], Parameters]) -> Callable[[Parameters], object]:
    """Converts parameters to the type *kind*; a mismatch is the caller's ValidationError."""
    convert = converter(kind)
    return lambda parameters: convert(own(parameters))


def response_to(request: Request, result: object, context: Context | None = None) -> Response:
    """The response to *request*, made of what the method returned. See `documents_of`.

    :param context: the method's, where it awaits something: documents that it took as they came are not kept, so that
        None is none of them.
    """
    if result is None and context is not None and context.arrivals is not None:
        result = ()
    docs = documents_of(request, result)
    return Response(request, docs, request.groundtruths, [], in_place=docs is request.docs)


def documents_of(request: Request, result: object) -> DocumentArray:
    """The documents that *result*, which a method returned for *request*, stands for; a generator is run to its end.

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
    for document in docs:
        if type(document) is not Document:
            _documents(docs)  # which says what is wrong
            break
    return docs


def part_of(item: object) -> DocumentArray:
    """The documents that *item*, which a generator has yielded, stands for.

    :raises ExecutorError: if it is none.
    """
    return DocumentArray([item]) if type(item) is Document else _documents((item,))


def _documents(items: Iterable[object]) -> DocumentArray:
    documents = DocumentArray()
    for item in items:
        if isinstance(item, Document):
            documents.append(item)
        elif isinstance(item, list | tuple):
            documents.extend(_documents(item))
        else:
            raise ExecutorError(f"returned {type(item).__name__} among its documents")
    return documents


async def awaited(result: Any) -> object:
    """The result of *result*, a coroutine, or an asynchronous generator whose documents are collected."""
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
