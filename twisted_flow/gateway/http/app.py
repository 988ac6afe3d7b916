"""The Klein app: every HTTP route of a flow is declared here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import klein
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from ...answer import Answer, Answered, AnswerStream, Entry, Gateway, answer, refuse
from ...codec.codecs import codec_of
from ...document.identity import new_id
from ...errors import BadRequest, ExecutorError, FlowError, MethodNotAllowed, NotFound, Unavailable
from ...interfaces import IDispatcher
from ...maybe import MaybeDeferred
from ...readiness import Readiness
from ...security.guard import Caller
from ..request_id import request_id_in
from ..trace_context import trace_in
from . import pages
from .action import Action, PlainHead
from .event_streams import FORMS
from .health import health_routes
from .negotiation import arrays_of, codec_for, parts_of, timeout_of
from .origin import Origins
from .problem import write_problem
from .request import FlowRequest
from .routes import HTTPSettings, Route
from .writing import write, write_any

__all__ = ["App"]

log = Logger()


class App:
    """The Klein app of one flow.

    :param dispatcher: what answers.
    :param routes: for documents.
    :param status: what ``/status`` tells, as JSON.
    :param openapi: the OpenAPI document, as JSON.
    :param gateway: the gateway that has it.
    :param readiness: what the health routes tell.
    :param metrics: what ``/metrics`` tells, from the Accept field; None: there is no such route.
    """

    def __init__(
        self,
        dispatcher: IDispatcher,
        settings: HTTPSettings,
        routes: tuple[Route, ...],
        status: Callable[[], bytes],
        openapi: bytes,
        gateway: Gateway,
        readiness: Readiness,
        metrics: Callable[[str], Answer] | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.origins = Origins(settings.cors)
        self.klein = klein.Klein()
        self.klein.url_map.merge_slashes = False  # else //post is answered by a redirect
        self.klein.handle_errors(HTTPException)(self._refused if settings.served else self._no_http)
        self.klein.handle_errors(Exception)(self._broken)
        self._plain: dict[str, Action] = {}
        self.open_paths: set[str] = set()
        """What anybody may ask for, without credentials."""
        self.entry = Entry(gateway=gateway, write_error=write_problem)
        for route in routes:
            self._declare(route)
        for path, told in health_routes(readiness).items():
            self._declare_answer(path, told, open=True)
        if metrics is not None:
            self._declare_metrics(metrics)
        if settings.debug_endpoints:
            self._declare_answer("/status", lambda: Answer(status(), "application/json"))
        if settings.docs:
            for page in pages.pages(settings.title, openapi):
                self._route(page.path, ("GET",), page.render)
                if settings.open_docs:
                    self.open_paths.add(page.path)

    def plain(self) -> Mapping[tuple[bytes, bytes], Action]:
        """The routes that a plain request may take, by method and path: read from Klein's own map."""
        return {
            (method.encode(), rule.rule.encode()): self._plain[cast(str, rule.endpoint)]
            for rule in self.klein.url_map.iter_rules()
            if rule.endpoint in self._plain and not rule.arguments
            for method in rule.methods or ()
            if method != "HEAD"
        }

    def methods(self, path: str) -> list[str]:
        """The methods that *path* takes; none where there is no such path."""
        return sorted(self.klein.url_map.bind("").allowed_methods(path))

    def _route(self, path: str, methods: tuple[str, ...], handler: Any, plain: Action | None = None) -> None:
        name = f"{path} {' '.join(methods)}"
        self.klein.route(path, methods=list(methods), endpoint=name, strict_slashes=False)(handler)
        if plain is not None:
            self._plain[name] = plain

    def _declare(self, route: Route) -> None:
        codec, dispatcher = codec_of().codec, self.dispatcher
        entry = replace(self.entry, endpoint=route.endpoint)
        streams = {name.encode(): replace(entry, parts=form, stream=True) for name, form in FORMS.items()}

        def run(body: bytes, head: PlainHead, caller: Caller | None) -> MaybeDeferred[Answered]:
            here = streams.get(head.accept, entry)
            if caller is not None:
                here = replace(here, caller=caller)
            if head.request_id or head.traceparent:
                here = replace(
                    here,
                    request_id=head.request_id,
                    traceparent=trace_in(head.traceparent),
                    tracestate=head.tracestate.decode("latin-1"),
                )
            return _begun(answer(body, codec, dispatcher, here), here)

        def handler(request: FlowRequest) -> MaybeDeferred[bytes]:
            request_id = request_id_in(request.getHeader(b"x-request-id"))
            try:
                self.origins.check(request)
                read_by = codec_for(request)
                here = replace(
                    entry,
                    timeout=timeout_of(request),
                    arrays=arrays_of(request),
                    request_id=request_id,
                    caller=request.caller,
                    traceparent=trace_in(request.getHeader(b"traceparent")),
                    tracestate=(request.getHeader(b"tracestate") or b"").decode("latin-1"),
                )
                if (form := parts_of(request)) is not None:
                    here = replace(here, parts=form, stream=True)
            except FlowError as error:
                return write(request, refuse(error, entry, request_id=request_id))
            answered = _begun(answer(request.content.read(), read_by, dispatcher, here), here)
            if isinstance(answered, Deferred):
                request.answering = answered
                later: Deferred[Any] = answered
                return later.addCallback(lambda done: write_any(request, done, route.status_code))
            return write_any(request, answered, route.status_code)

        self._route(route.path, route.methods, handler, Action(run, route.status_code))

    def _declare_answer(self, path: str, told: Callable[[], Answer], open: bool = False) -> None:
        """Have a GET of *path* answered by what is *told*; *open*: to anybody."""

        def run(body: bytes, head: PlainHead, caller: Caller | None) -> Answer:
            return told()

        self._route(path, ("GET",), lambda request: write(request, told()), Action(run, open=open))
        if open:
            self.open_paths.add(path)

    def _declare_metrics(self, told: Callable[[str], Answer]) -> None:
        def run(body: bytes, head: PlainHead, caller: Caller | None) -> Answer:
            return told(head.accept.decode("latin-1"))

        def handler(request: FlowRequest) -> bytes:
            return write(request, told((request.getHeader(b"accept") or b"").decode("latin-1")))

        self._route("/metrics", ("GET",), handler, Action(run))

    def _no_http(self, request: Any, failure: Failure) -> bytes:
        """Answer on a port without HTTP, such as that of a flow that has just changed its protocol."""
        return write(request, refuse(Unavailable("HTTP is not served here"), self.entry))

    def _refused(self, request: Any, failure: Failure) -> bytes:
        """Answer where Klein found no handler: 404 or 405."""
        raised = cast(HTTPException, failure.value)
        path = request.path.decode("ascii", "replace")
        error: FlowError = BadRequest(raised.description or "bad request")
        if raised.code == 404:
            error = NotFound(f"there is no {path} here")
        if isinstance(raised, WrongMethod):
            error = MethodNotAllowed(f"{path} does not take {request.method.decode('ascii', 'replace')}")
            request.setHeader(b"Allow", ", ".join(sorted(raised.valid_methods or ())).encode())
        return write(request, refuse(error, self.entry))

    def _broken(self, request: Any, failure: Failure) -> bytes:
        """Answer 500 where a handler of ours failed (a bug)."""
        request_id = new_id()
        log.failure("request {id}: the gateway failed", failure, id=request_id)
        return write(request, refuse(ExecutorError("internal error"), self.entry, request_id=request_id))


def _begun(answered: MaybeDeferred[Answered], entry: Entry) -> MaybeDeferred[Answered]:
    """*answered*; who has asked for parts is told that something is coming while there is none."""
    return AnswerStream.to_come(answered, entry) if entry.stream and isinstance(answered, Deferred) else answered
