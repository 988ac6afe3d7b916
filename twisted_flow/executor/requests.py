"""``@requests``: which method answers which endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, overload

__all__ = ["ANY_OTHER", "DEFAULT", "endpoints_marked", "exclusive_marked", "idempotent_marked", "requests"]

DEFAULT = "/default"
"""The endpoint that answers whatever no other one does: what a bare ``@requests`` marks."""

ANY_OTHER = "*"
"""Stands for the endpoints that are not named, where something is said for each."""

_MARK, _IDEMPOTENT = "__twisted_flow_endpoints__", "__twisted_flow_idempotent__"
_EXCLUSIVE = "__twisted_flow_exclusive__"

Method = TypeVar("Method", bound=Callable[..., Any])


@overload
def requests(method: Method) -> Method: ...
@overload
def requests(
    *, on: str | Sequence[str] | None = None, idempotent: bool = False, exclusive: bool = False
) -> Callable[[Method], Method]: ...
def requests(
    method: Any = None,
    *,
    on: str | Sequence[str] | None = None,
    idempotent: bool = False,
    exclusive: bool = False,
) -> Any:
    """Mark a method of an executor as what answers an endpoint.

    ``@requests`` answers every endpoint that no other method has, ``@requests(on='/search')`` that one,
    ``@requests(on=['/index', '/update'])`` those. The method may be a ``def`` (it runs in the executor's thread), an
    ``async def``, a generator of either kind, or return a Deferred if its annotation says so. It names what it wants
    of ``docs``, ``parameters``, ``groundtruths``, ``docs_matrix`` and ``context``, and returns None (it changed
    ``docs`` in place), a Document, or several. An ``async def`` whose ``docs`` are an ``AsyncIterator[Document]`` gets
    them as they come.

    :param on: the endpoint or endpoints; by default every other one.
    :param idempotent: whether calling the method again with the same documents does no harm, so that it may be where
        a call has failed: see ``retries=`` of `Flow.add`, and `dynamic_batching`.
    :param exclusive: of a ``def`` that is a generator: whether nothing else of the executor runs in its thread, or
        process, from its first step to its last, though whoever takes what it makes may be slow.
    :raises TypeError: if *on* is not made of strings.
    """
    names = (
        (DEFAULT,) if on is None else (on,) if isinstance(on, str) else tuple(on) if isinstance(on, Iterable) else ()
    )
    if method is not None and not callable(method) and not isinstance(method, staticmethod | classmethod):
        raise TypeError(f"use @requests(on={method!r})")
    if not names or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"on= takes an endpoint's name, or a list of such, not {on!r}")

    def mark(method: Any) -> Any:
        if not callable(method) and not isinstance(method, staticmethod | classmethod):
            raise TypeError(f"@requests marks methods, not a {type(method).__name__}")
        setattr(method, _MARK, (*endpoints_marked(method), *names))
        if idempotent:
            setattr(method, _IDEMPOTENT, True)
        if exclusive:
            setattr(method, _EXCLUSIVE, True)
        return method

    return mark if method is None else mark(method)


def endpoints_marked(method: Any) -> tuple[str, ...]:
    """The endpoints that *method* is marked for; () where it is no endpoint at all."""
    marked: tuple[str, ...] = getattr(method, _MARK, ())
    return marked


def idempotent_marked(method: Any) -> bool:
    """Whether *method* is marked as one that may be called again."""
    return _marked(method, _IDEMPOTENT)


def exclusive_marked(method: Any) -> bool:
    """Whether *method* is marked as one beside which nothing runs."""
    return _marked(method, _EXCLUSIVE)


def _marked(method: Any, mark: str) -> bool:
    return bool(getattr(method, mark, False) or getattr(inspect.unwrap(method), mark, False))
