"""Spans (OpenTelemetry) of what a dispatcher answers, within the trace that its requests name, or a new one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import FlowError
from ..interfaces import IChanging, IDispatcher
from ..maybe import MaybeDeferred
from ..message import Request, ResponseStream
from ..outcome import Outcome, until_done
from .watching import watch_of

__all__ = ["Tracing", "tracer"]

_NAME = "twisted_flow"


def tracer() -> Any:
    """What makes spans, where OpenTelemetry is installed, and something here has configured it; else None."""
    if "opentelemetry.sdk.trace" not in sys.modules:  # without which nothing becomes of spans
        return None
    from opentelemetry import trace

    return trace.get_tracer(_NAME)


@implementer(IDispatcher, IChanging)
class Tracing:
    """See the module. It does not provide `IDirect`: who is traced has no short cut.

    :param inner: what answers.
    :param made: see `tracer`.
    :param name: before the endpoint, in the names of spans.
    :param kind: 'SERVER', 'INTERNAL' or 'CLIENT'.
    """

    def __init__(self, inner: IDispatcher, made: Any, name: str, kind: str = "INTERNAL") -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.inner, self._tracer, self._name, self._kind = inner, made, name, SpanKind[kind]
        self._propagator = TraceContextTextMapPropagator()

    def watch(self, forget: Callable[[], object]) -> Callable[[], object]:
        """See `IChanging`."""
        return watch_of(self.inner)(forget)

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        carrier = {"traceparent": request.traceparent, "tracestate": request.tracestate}
        span = self._tracer.start_span(
            f"{self._name} {request.header.exec_endpoint}",
            context=self._propagator.extract(carrier),
            kind=self._kind,
            attributes={
                "twisted_flow.endpoint": request.header.exec_endpoint,
                "twisted_flow.request_id": request.request_id,
                "twisted_flow.documents": len(request.docs),
            },
        )
        told = self._carried(span)
        request = replace(request, traceparent=told["traceparent"], tracestate=told.get("tracestate", ""))
        try:
            outcome: MaybeDeferred[Outcome] = self.inner.dispatch(request)
        except BaseException as error:
            _end(span, error)
            raise
        return self._ended(outcome, span)

    def _carried(self, span: Any) -> dict[str, str]:
        """What names *span* to others."""
        from opentelemetry.trace import set_span_in_context

        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span))
        return carrier

    def _ended(self, outcome: MaybeDeferred[Outcome], span: Any) -> MaybeDeferred[Outcome]:
        if isinstance(outcome, Deferred):
            return outcome.addCallbacks(self._ended, _failed, callbackArgs=(span,), errbackArgs=(span,))
        if type(outcome) is ResponseStream:
            return until_done(outcome, span.end)
        span.end()
        return outcome


def _failed(failure: Failure, span: Any) -> Failure:
    _end(span, cast(BaseException, failure.value))
    return failure


def _end(span: Any, error: BaseException) -> None:
    """End *span* by *error*: of which its name is told, as what it says may be a caller's."""
    from opentelemetry.trace import Status, StatusCode

    name = error.name if isinstance(error, FlowError) else type(error).__name__
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, name))
    span.end()
