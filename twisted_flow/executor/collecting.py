"""What a generator makes for a request that asks for no parts: it is collected, and so is bounded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from inspect import isasyncgen, isgenerator
from typing import Never

from ..document import DocumentArray
from ..document.weight import weight
from ..errors import PayloadTooLarge
from ..message import Request
from .call import Call, Context, part_of
from .steps import AsynchronousGenerator, PlainGenerator

__all__ = ["bounded"]


def bounded(call: Call, most: int) -> Call:
    """*call*, whose method is a generator, so that of what it makes no more than *most* bytes are collected.

    What it makes then raises PayloadTooLarge, and the generator is closed.
    """

    def bounded_call(request: Request, context: Context | None) -> object:
        result = call(request, context)
        if request.stream:
            return result
        if isgenerator(result):
            return _counted(result, most)
        return _counted_later(result, most) if isasyncgen(result) else result

    return bounded_call


class _Count:
    def __init__(self, most: int) -> None:
        self.left, self.most = most, most

    def take(self, item: object) -> DocumentArray:
        part = part_of(item)
        self.left -= weight(part)
        if self.left < 0:
            raise PayloadTooLarge(f"made more than {self.most} bytes, as an answer in one piece; ask for parts")
        return part


def _counted(generator: PlainGenerator, most: int) -> Generator[DocumentArray, Never, None]:
    count = _Count(most)
    try:
        for item in generator:
            yield count.take(item)
    finally:
        generator.close()


async def _counted_later(generator: AsynchronousGenerator, most: int) -> AsyncGenerator[DocumentArray, Never]:
    count = _Count(most)
    try:
        async for item in generator:
            yield count.take(item)
    finally:
        await generator.aclose()
