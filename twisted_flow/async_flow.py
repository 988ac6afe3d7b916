"""`AsyncFlow`: a flow whose calls are asynchronous iterators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

from .flow import Flow

if TYPE_CHECKING:
    from .client.streaming import AsyncDocumentStream
    from .client.verbs import AsyncPost, StreamOptions

__all__ = ["AsyncFlow"]


class AsyncFlow(Flow):
    """A `Flow` that is called by ``async for response in flow.post(...)``, as a ``Client(asyncio=True)`` is.

    ``with`` starts and closes it as any flow: the program's event loop waits for that.
    """

    asyncio: Literal[True] = True

    if TYPE_CHECKING:

        @property
        def post(self) -> AsyncPost: ...  # type: ignore[override]

        def stream(  # type: ignore[override]
            self, on: str, inputs: object = None, **options: Unpack[StreamOptions]
        ) -> AsyncDocumentStream: ...
