"""Health and reflection as handlers of grpcio's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from ...loop import Signal, wait_a_while
from ...wire.grpc.statuses import NAMES, CallFault
from .services import Health, Reflection

__all__ = ["handler", "health_handler", "reflection_handler"]

_LOOK = 1.0  # seconds between two looks of who watches


def handler(service: str, **methods: object) -> object:
    """The generic handler of *service* with *methods*."""
    return grpc.method_handlers_generic_handler(service, methods)


async def _said(reply: Callable[[bytes], bytes], body: bytes, context: Any) -> bytes:
    try:
        return reply(body)
    except CallFault as fault:
        await context.abort(grpc.StatusCode[NAMES[fault.code]], fault.detail)
        raise


def health_handler(health: Health) -> object:
    """Of the service grpc.health.v1.Health."""

    async def check(body: bytes, context: Any) -> bytes:
        return await _said(health.check, body, context)

    async def list_all(body: bytes, context: Any) -> bytes:
        return await _said(health.list, body, context)

    async def watch(body: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await _said(health.now, body, context)
        changed, waiting = Signal(), list[bytes]()

        def send(told: bytes) -> None:
            waiting.append(told)
            changed.set()

        end = health.watch(body, send, changed.set)
        try:
            while waiting or not health.stopping:
                while waiting:
                    yield waiting.pop(0)
                changed.clear()
                if not health.stopping:
                    await wait_a_while(changed, _LOOK)
                    health.look()
        finally:
            end()

    return handler(
        "grpc.health.v1.Health",
        Check=grpc.unary_unary_rpc_method_handler(check),
        List=grpc.unary_unary_rpc_method_handler(list_all),
        Watch=grpc.unary_stream_rpc_method_handler(watch),
    )


def reflection_handler(reflection: Reflection) -> object:
    """Of the reflection's service."""

    async def info(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for body in requests:
            yield await _said(reflection.answer, body, context)

    return handler(
        f"{reflection.package}.ServerReflection", ServerReflectionInfo=grpc.stream_stream_rpc_method_handler(info)
    )
