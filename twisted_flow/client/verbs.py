"""The methods that are `post` to an endpoint of their own name; the client and the flow have the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["verb"]


def verb(on: str) -> Callable[..., Any]:
    """The method that posts to the endpoint *on*."""

    def call(self: Any, inputs: Any = None, *args: Any, **options: Any) -> Any:
        return self.post(on, inputs, *args, **options)

    call.__name__ = call.__qualname__ = on.strip("/")
    call.__doc__ = f"`post` to ``{on}``."
    return call
