"""A user's method within the span of its call (OpenTelemetry): spans that it makes itself are that one's children."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from inspect import iscoroutine
from typing import Any

from ..message import Request
from .call import Call, Context

__all__ = ["in_trace"]


def in_trace(call: Call) -> Call:
    """*call*, within the span that its request names, where OpenTelemetry is loaded here; of a generator its first step
    is not.
    """
    if "opentelemetry.trace" not in sys.modules:
        return call
    from opentelemetry.context import attach, detach
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    extract = TraceContextTextMapPropagator().extract

    def run(request: Request, context: Context | None) -> object:
        if not request.traceparent:
            return call(request, context)
        here = extract({"traceparent": request.traceparent, "tracestate": request.tracestate})
        token = attach(here)
        try:
            result = call(request, context)
        finally:
            detach(token)
        return _awaited(result, here) if iscoroutine(result) else result

    async def _awaited(result: Awaitable[object], here: Any) -> object:
        token = attach(here)
        try:
            return await result
        finally:
            detach(token)

    return run
