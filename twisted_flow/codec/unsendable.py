"""The client's error for a request that cannot be encoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..document.outgoing import wrong_message
from ..message import Request

__all__ = ["telling_the_place"]


@contextmanager
def telling_the_place(request: Request) -> Iterator[None]:
    """Have errors of an encoder name the field of *request* that cannot be sent.

    :raises TypeError: if JSON cannot say it.
    :raises ValueError: if it is a text that cannot be UTF-8, or a number beyond all bounds.
    """
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        found = wrong_message(request.docs, request.groundtruths, request.parameters)
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{found[0]}: {found[1]}" if found else str(error)) from None
