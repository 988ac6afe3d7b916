"""The methods that are `post` to an endpoint of their own name: the client's and the flow's; and their types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

from ..interfaces import IChannel
from ..message import Parameters, Response
from .told import Callback

__all__ = ["AsyncPost", "Asyncio", "Post", "PostOptions", "ServerOptions", "StreamOptions", "verb"]


class ServerOptions(TypedDict, total=False):
    """What `Client` takes by keyword, beside ``asyncio``."""

    protocol: str
    port: int | None
    port_expose: int | None
    window: int
    channel: IChannel | None
    ca: str | None
    cert: str | None
    key: str | None
    token: str | None
    headers: Mapping[str, str] | None


class PostOptions(TypedDict, total=False):
    """What `Client.post` takes by keyword, beside ``return_results``."""

    parameters: Parameters | None
    target_peapod: str
    request_size: int
    show_progress: bool
    continue_on_error: bool
    timeout: float | None


class StreamOptions(TypedDict, total=False):
    """What `Client.stream` takes by keyword."""

    parameters: Parameters | None
    target_peapod: str
    timeout: float | None


if TYPE_CHECKING:
    from typing import Protocol, Unpack

    from typing_extensions import TypeVar  # type checkers know it; its defaults are Python 3.13's

    Asyncio = TypeVar("Asyncio", bound=bool, default=Literal[False], covariant=True)

    class _Asyncio(Protocol[Asyncio]):
        @property
        def asyncio(self) -> Asyncio: ...

    class Post(Protocol):
        """`Client.post` of a client that is not asynchronous."""

        @overload
        def __call__(
            self,
            on: str,
            inputs: object = None,
            on_done: Callback | None = None,
            on_error: Callback | None = None,
            on_always: Callback | None = None,
            *,
            return_results: Literal[True],
            **options: Unpack[PostOptions],
        ) -> list[Response]: ...
        @overload
        def __call__(
            self,
            on: str,
            inputs: object = None,
            on_done: Callback | None = None,
            on_error: Callback | None = None,
            on_always: Callback | None = None,
            *,
            return_results: Literal[False] = False,
            **options: Unpack[PostOptions],
        ) -> None: ...

    class AsyncPost(Protocol):
        """`Client.post` of one that is asynchronous."""

        def __call__(
            self,
            on: str,
            inputs: object = None,
            on_done: Callback | None = None,
            on_error: Callback | None = None,
            on_always: Callback | None = None,
            *,
            return_results: bool = False,
            **options: Unpack[PostOptions],
        ) -> AsyncIterator[Response]: ...

    class _Synchronous(Protocol):
        @overload
        def __call__(
            self,
            inputs: object = None,
            on_done: Callback | None = None,
            on_error: Callback | None = None,
            on_always: Callback | None = None,
            *,
            return_results: Literal[True],
            **options: Unpack[PostOptions],
        ) -> list[Response]: ...
        @overload
        def __call__(
            self,
            inputs: object = None,
            on_done: Callback | None = None,
            on_error: Callback | None = None,
            on_always: Callback | None = None,
            *,
            return_results: Literal[False] = False,
            **options: Unpack[PostOptions],
        ) -> None: ...

    class _Asynchronous(Protocol):
        def __call__(
            self,
            inputs: object = None,
            on_done: Callback | None = None,
            on_error: Callback | None = None,
            on_always: Callback | None = None,
            *,
            return_results: bool = False,
            **options: Unpack[PostOptions],
        ) -> AsyncIterator[Response]: ...

    class _Verb:
        @overload
        def __get__(self, caller: _Asyncio[Literal[True]], owner: type) -> _Asynchronous: ...
        @overload
        def __get__(self, caller: object, owner: type) -> _Synchronous: ...
        def __get__(self, caller: object, owner: type) -> object: ...

else:
    from typing import TypeVar

    Asyncio = TypeVar("Asyncio", bound=bool, covariant=True)
    _Verb = Post = AsyncPost = Callable


def verb(on: str) -> _Verb:
    """The method that posts to the endpoint *on*."""

    def call(self: Any, inputs: object = None, *args: object, **options: object) -> object:
        return self.post(on, inputs, *args, **options)

    call.__name__ = call.__qualname__ = on.strip("/")
    call.__doc__ = f"`post` to ``{on}``."
    made: Any = call
    return made  # type: ignore[no-any-return]
