"""``@dynamic_batching``: which methods take the documents of several requests in one call, and how many."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, overload

import msgspec
from msgspec import Meta, Struct

from ..errors import ConfigurationError
from ..suggestion import nearest
from .requests import ANY_OTHER

__all__ = ["Batching", "batching_marked", "batchings_of", "dynamic_batching"]

_MARK = "__twisted_flow_batching__"

Method = TypeVar("Method", bound=Callable[..., Any])


class Batching(Struct, frozen=True, forbid_unknown_fields=True):
    """How requests share calls of a method."""

    preferred_batch_size: Annotated[int, Meta(ge=1, le=1_000_000)]
    """Documents in a call, at most."""
    timeout: Annotated[float, Meta(ge=0, le=3_600_000)] = 10.0
    """Milliseconds that the first of them waits for more."""


_FIELDS = Batching.__struct_fields__


@overload
def dynamic_batching(method: Method) -> Method: ...
@overload
def dynamic_batching(*, preferred_batch_size: int = ..., timeout: float = ...) -> Callable[[Method], Method]: ...
def dynamic_batching(method: Any = None, *, preferred_batch_size: int = 32, timeout: float = 10.0) -> Any:
    """Have several requests share one call of a method: above or below ``@requests``.

    Their documents reach it as one ``docs``, and each request gets its own back. So it returns as many as it got, in
    their order, or changes them in place. Only requests of one endpoint with equal parameters share a call; a request
    with more documents is split.

    :param preferred_batch_size: documents in a call, at most.
    :param timeout: milliseconds that the first of them waits for more. 0: it does not wait, and what comes while the
        executor is busy shares the next call.
    :raises TypeError: if one of them is no such number.
    """
    try:
        mark = msgspec.convert(
            {"preferred_batch_size": preferred_batch_size, "timeout": timeout}, Batching, strict=True
        )
    except msgspec.ValidationError as error:
        raise TypeError(f"dynamic_batching: {error}") from None

    def marked(method: Any) -> Any:
        if not callable(method) and not isinstance(method, staticmethod | classmethod):
            raise TypeError(f"@dynamic_batching marks methods, not a {type(method).__name__}")
        setattr(method, _MARK, mark)
        return method

    return marked if method is None else marked(method)


def batching_marked(method: Any) -> Batching | None:
    """How requests share calls of *method*, if it is marked so."""
    marked: Batching | None = getattr(method, _MARK, None) or getattr(inspect.unwrap(method), _MARK, None)
    return marked


def batchings_of(given: Any, name: str) -> dict[str, Batching]:
    """What ``batch=`` says, by endpoint; `ANY_OTHER` stands for all that it does not name.

    :param given: a size, ``{'preferred_batch_size': …, 'timeout': …}``, or one of these for each endpoint.
    :param name: the executor's, for errors.
    :raises ConfigurationError: if it says nothing of that kind.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or (given and all(key in _FIELDS for key in given)):
        given = {ANY_OTHER: given}
    return {str(endpoint): _batching(each, name) for endpoint, each in given.items()}


def _batching(given: Any, name: str) -> Batching:
    if isinstance(given, Batching):
        return given
    said = {"preferred_batch_size": given} if type(given) is int else given
    try:
        return msgspec.convert(dict(said), Batching)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        unknown = next((key for key in said if key not in _FIELDS), "") if isinstance(said, Mapping) else ""
        raise ConfigurationError(
            f"{name}: batch={given!r}: it is a number of documents, or {{'preferred_batch_size': 32, 'timeout': 10}}, "
            f"or such for each endpoint: {error}{nearest(str(unknown), _FIELDS)}"
        ) from None
