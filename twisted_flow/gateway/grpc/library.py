"""gRPC by grpcio's own server, which listens at a port of its own: ``--grpc=grpcio``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import grpc
from grpc import aio
from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ...answer import Answer, Answered, AnswerStream, Entry, Gateway, answer, refuse
from ...codec.codecs import codec_of
from ...document.identity import new_id
from ...errors import BadRequest, ConfigurationError, FlowError, Unavailable
from ...interfaces import IGateway
from ...loop import Signal, asyncio_loop, spawn, to_future, wait_a_while
from ...security.guard import Caller
from ...wire.grpc.metadata import OURS, SERVER
from ..buffered import Account
from ..ending import LAST_WORDS, Ending
from ..messages import parts_as_messages
from ..request_id import request_id_in
from ..served import Served
from ..trace_context import trace_in
from .behind import THREADS
from .failures import trailers_of, write_status
from .library_guard import LibraryGuard, caller_in
from .library_options import options_of
from .library_services import handler, health_handler, reflection_handler
from .library_stream import CallContext, Stream
from .library_tls import library_credentials
from .services import SERVICES, Health, reflections
from .threads import yielding

__all__ = ["LibraryGateway"]

log = Logger()

_ASKING = frozenset(("/jina.JinaRPC/Call", "/twisted_flow.Flow/Post", "/twisted_flow.Flow/Stream"))


@implementer(IGateway)
class LibraryGateway(Service):
    """See `IGateway`. gRPC binds its port itself, beside a socket that is there but does not listen."""

    protocol = "grpc"
    address = ""

    def __init__(self, served: Served) -> None:
        self.buffered, self.dispatcher, self.limits = served.buffered, served.dispatcher, served.limits
        self.listen_at, self.engines = served.address, served.engines
        debug, limits = served.debug, served.limits
        self.ending = Ending(served.record.numbers.all)
        named: dict[str, Any] = {"id": new_id(), "protocol": "grpc", "record": served.record.over("grpc")}
        gateway = Gateway(limits=limits, debug=debug, ended=self.ending.error, **named)
        self.entry = Entry(gateway=gateway, write_error=write_status)
        self._codec = codec_of(binary=True).codec
        self._entry_of_streams = replace(self.entry, parts=parts_as_messages(self._codec), stream=True)
        self._under_way: set[Deferred[Any] | AnswerStream] = set()  # of calls that are no `Stream`
        self._added = served.added
        self._services = (*SERVICES, *served.added.services)
        self.health = Health(self._services, served.readiness)
        self.streams: set[Stream] = set()
        self._calls = 0  # under way
        self._idle = Signal()
        self._idle.set()
        self._server: object = None
        self._guard = served.guard

    def startService(self) -> Deferred[None]:
        """Listen."""
        super().startService()
        if asyncio_loop() is None:
            raise ConfigurationError("gRPC needs the asyncio reactor: start twistd without --reactor")
        return spawn(self._start())

    async def _start(self) -> None:
        # Beside executors that keep the cores busy from threads of their own, gRPC's must have their turn.
        busy = any(endpoint.blocking for engine in self.engines for endpoint in engine.endpoints.values())
        with nullcontext() if busy else yielding():
            self._server = server = aio.server(
                ThreadPoolExecutor(THREADS, "grpc_services"),
                options=options_of(self.limits),
                interceptors=self._interceptors(),
            )  # which starts all its threads
        server.add_generic_rpc_handlers(
            (
                handler("jina.JinaRPC", Call=grpc.stream_stream_rpc_method_handler(self.call)),
                handler(
                    "twisted_flow.Flow",
                    Post=grpc.stream_unary_rpc_method_handler(self.post),
                    Stream=grpc.stream_stream_rpc_method_handler(self.stream),
                ),
                health_handler(self.health),
                *map(reflection_handler, reflections(self._services, self._added.files)),
                *self._added.handlers,
            )
        )
        address = self.listen_at.address
        try:
            credentials = library_credentials(self.listen_at.tls)
            if credentials is None:
                server.add_insecure_port(address)
            else:
                server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ConfigurationError(f"cannot listen on {address}: {error}") from None
        await server.start()
        self.address = address

    def _interceptors(self) -> list[LibraryGuard]:
        """What asks who calls other services; where a handshake does, nothing."""
        guard = self._guard
        return [] if guard is None or guard.by_certificate else [LibraryGuard(guard, self._refuse, _ASKING)]

    async def call(self, requests: object, context: CallContext) -> None:
        """``/jina.JinaRPC/Call``."""
        caller = await caller_in(context, self._guard, self._refuse)
        entry = _identified(self.entry, context, caller)
        stream = Stream(self.dispatcher, entry, context, self.limits, self.buffered)
        self.streams.add(stream)
        release = entry.hold(stream.end)
        self._begun()
        try:
            await context.send_initial_metadata(((SERVER, OURS),))
            await stream.run()
            if caller is not None and caller.revoked is not None:
                await self._refuse(entry.ended(), context)
        finally:
            release()
            self.streams.discard(stream)
            self._left()

    def _begun(self) -> None:
        """A call has begun."""
        self._calls += 1
        self._idle.clear()

    def _left(self) -> None:
        """It is over."""
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def post(self, requests: object, context: CallContext) -> bytes:
        """``/twisted_flow.Flow/Post``: a failure is a gRPC status."""
        answered = await self._asked(context, self.entry, self._whole)
        assert isinstance(answered, bytes)
        return answered

    async def stream(self, requests: object, context: CallContext) -> None:
        """``/twisted_flow.Flow/Stream``: the same, and the answer comes in parts."""
        await self._asked(context, self._entry_of_streams, self._parts)

    async def _asked(
        self,
        context: CallContext,
        entry: Entry,
        respond: Callable[[Answered, CallContext], Awaitable[bytes | None]],
    ) -> bytes | None:
        """Have the request that *context* brings answered, and *respond* take the answer.

        The call is one of many messages, as one of none is, too: so a call without a message gets an answer.
        """
        caller = await caller_in(context, self._guard, self._refuse)
        body = await context.read()
        if body is aio.EOF:
            await self._refuse(BadRequest("the call has no message; one is required"), context)
        if self.health.stopping:
            await self._refuse(Unavailable("the server is stopping"), context)
        account = Account(self.buffered)
        if not account.keep(len(body)):
            await self._refuse(self.buffered.refusal(), context)
        self._begun()
        try:
            return await respond(await self._answered(body, entry, context, caller), context)
        finally:
            self._left()
            account.keep(0)

    async def _refuse(self, error: FlowError, context: object) -> None:
        """End a call that never becomes a request."""
        await self._abort(refuse(error, _identified(self.entry, context)), context)

    async def _abort(self, answered: Answer, context: CallContext) -> None:
        error = answered.error
        assert error is not None
        code = grpc.StatusCode[error.grpc_status]
        await context.abort(code, error.detail, tuple(trailers_of(error, answered.request_id)))

    async def _answered(self, body: bytes, entry: Entry, context: CallContext, caller: Caller | None) -> Answered:
        remaining, entry = context.time_remaining(), _identified(entry, context, caller)
        if remaining is not None:
            entry = replace(entry, timeout=max(remaining, 1e-6))
        done = answer(body, self._codec, self.dispatcher, entry)
        return await self._come(done) if isinstance(done, Deferred) else done

    async def _come(self, waiting: Deferred[Answered]) -> Answered:
        """What *waiting* comes to; it is cancelled when the grace of a drain is over."""
        self._under_way.add(waiting)
        come: list[Answered] = []

        def note(answered: Answered) -> Answered:
            come.append(answered)
            return answered

        try:
            return await to_future(waiting.addCallback(note))
        except BaseException:
            for each in come:  # the call was cancelled in the very turn in which this came
                if isinstance(each, AnswerStream):
                    each.cancel()
            raise
        finally:
            self._under_way.discard(waiting)

    async def _whole(self, answered: Answered, context: CallContext) -> bytes:
        assert isinstance(answered, Answer)
        if answered.error is not None:
            await self._abort(answered, context)
        return answered.body

    async def _parts(self, answered: Answered, context: CallContext) -> None:
        if isinstance(answered, Answer):
            await self._abort(answered, context)
            return
        self._under_way.add(answered)
        try:
            while not answered.over:
                pulled = answered.pull()
                piece = await to_future(pulled) if isinstance(pulled, Deferred) else pulled
                if piece.error is not None:
                    await self._abort(piece, context)
                await context.write(piece.body)
        finally:
            self._under_way.discard(answered)
            answered.cancel()

    def stopService(self) -> Deferred[None]:
        """Take no more calls, answer what was asked, close."""
        super().stopService()
        server, self._server = self._server, None
        self.listen_at.close()
        if server is None:
            return succeed(None)
        self.health.stop()
        for stream in list(self.streams):
            stream.drain()
        return spawn(self._stopped(server))

    async def _stopped(self, server: Any) -> None:
        """Wait for the calls that were taken; who has asked nothing, or stays though told to go, is not waited for."""
        grace = self.limits.drain_grace
        stopping = spawn(server.stop(grace + LAST_WORDS))
        await wait_a_while(self._idle, grace)
        if self._calls:
            self.ending.cutting = True
            for each in list(self._under_way):
                each.cancel()  # which answers it
            for stream in list(self.streams):
                stream.session.cut()
            log.warn("{cut} requests were answered Unavailable when the drain grace ended", cut=self.ending.cut)
            await wait_a_while(self._idle, LAST_WORDS)
        if not stopping.called:
            await server.stop(min(LAST_WORDS, grace))


def _identified(entry: Entry, context: CallContext, caller: Caller | None = None) -> Entry:
    """*entry* with what the call's metadata say of its request, and who asks."""
    said = {name: value for name, value in reversed(tuple(context.invocation_metadata() or ())) if type(value) is str}
    return replace(
        entry,
        caller=caller,
        request_id=request_id_in(said.get("x-request-id", "").encode()),
        traceparent=trace_in(said.get("traceparent", "").encode()),
        tracestate=said.get("tracestate", ""),
    )
