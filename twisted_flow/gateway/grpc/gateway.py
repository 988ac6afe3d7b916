"""The gRPC gateway: a lane beside HTTP's, told apart by the first bytes of a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ...answer import Entry
from ...codec.codecs import codec_of
from ...interfaces import IGateway
from ...loop import next_turn, spawn
from ...security.guard import Caller
from ...wire.http2.fields import Fields
from ..http.gateway import http_beside
from ..messages import parts_as_messages
from ..served import Served
from .answering import AnsweringCall
from .asked_call import AskedCall
from .call_head import CallHead
from .failures import write_status
from .lane import GRPCLane
from .methods import Method, Methods, Relay
from .services import SERVICES, Health, Reflection, reflections
from .session_call import SessionCall

__all__ = ["GRPCGateway"]


@implementer(IGateway)
class GRPCGateway(Service):
    """See `IGateway`. What is no HTTP/2 there is HTTP's: with no such gateway beside it, it has one without routes."""

    protocol = "grpc"

    def __init__(self, served: Served) -> None:
        self.http, self._own = http_beside(served)
        port = self.http.port
        gateway = port.gateway.beside("grpc")
        entry = Entry(gateway=gateway, write_error=write_status)
        services = (*SERVICES, *served.added.services)
        self.health = Health(services, served.readiness)
        self._behind: Any = None
        if served.added.handlers:
            from .behind import Behind  # grpcio for those alone who need it

            self._behind = Behind(served.added, served.limits)
        clock = served.clock
        methods = Methods(
            by_path=_methods(entry, self.health, reflections(services, served.added.files)),
            others=None if self._behind is None else _relaying(entry, self._behind),
            entry=entry,
            dispatcher=served.dispatcher,
            limits=served.limits,
            look=self.health.look,
            later=next_turn() if clock is None else partial(clock.callLater, 0),
        )
        self.http.prior_knowledge = lambda: GRPCLane(methods, port.connections)

    @property
    def address(self) -> str:
        """See `IGateway`."""
        return self.http.address

    def startService(self) -> Deferred[None]:
        """Listen, unless the gateway beside it does."""
        super().startService()
        started: Deferred[None] = succeed(None) if self._behind is None else spawn(self._behind.start())
        return started.addCallback(lambda _: self.http.startService()) if self._own else started

    def stopService(self) -> Deferred[None]:
        """Drain, unless the gateway beside it does: they share their connections."""
        super().stopService()
        self.health.stop()
        stopped = self.http.stopService() if self._own else succeed(None)
        return stopped if self._behind is None else stopped.addCallback(lambda _: spawn(self._behind.stop()))


def _relaying(entry: Entry, behind: Any) -> Relay:
    from .relayed_call import RelayedCall, opening_of

    def relaying(lane: GRPCLane, fields: Fields) -> Method:
        opening = opening_of(fields, lane.transport)
        return lambda lane, stream, head, caller: RelayedCall(stream, opening, _asked_by(entry, caller), behind)

    return relaying


def _methods(entry: Entry, health: Health, reflected: Iterable[Reflection]) -> dict[str, Method]:
    in_parts = replace(entry, parts=parts_as_messages(codec_of(binary=True).codec), stream=True)
    methods: dict[str, Method] = {
        "/jina.JinaRPC/Call": lambda lane, stream, head, caller: SessionCall(
            lane, stream, head, _identified(entry, head, caller)
        ),
        "/twisted_flow.Flow/Post": lambda lane, stream, head, caller: AskedCall(
            lane, stream, head, _timed(entry, head, caller)
        ),
        "/twisted_flow.Flow/Stream": lambda lane, stream, head, caller: AskedCall(
            lane, stream, head, _timed(in_parts, head, caller)
        ),
        "/grpc.health.v1.Health/Check": _answering(entry, health.check),
        "/grpc.health.v1.Health/List": _answering(entry, health.list),
        "/grpc.health.v1.Health/Watch": _answering(entry, health.now, watch=health.watch),
    }
    for each in reflected:
        methods[f"/{each.package}.ServerReflection/ServerReflectionInfo"] = _answering(entry, each.answer, many=True)
    return methods


def _answering(entry: Entry, reply: Callable[[bytes], bytes], **options: Any) -> Method:
    return lambda lane, stream, head, caller: AnsweringCall(
        lane, stream, head, _asked_by(entry, caller), reply, **options
    )


def _asked_by(entry: Entry, caller: Caller | None) -> Entry:
    """*entry*, asked by *caller*."""
    return entry if caller is None else replace(entry, caller=caller)


def _identified(entry: Entry, head: CallHead, caller: Caller | None) -> Entry:
    """The same with the request's id and its trace, where *head* has them."""
    if not head.request_id and not head.traceparent:
        return _asked_by(entry, caller)
    return replace(
        entry,
        request_id=head.request_id,
        traceparent=head.traceparent,
        tracestate=head.tracestate,
        caller=caller,
    )


def _timed(entry: Entry, head: CallHead, caller: Caller | None) -> Entry:
    """The same, with the seconds that *head* names."""
    entry = _identified(entry, head, caller)
    return entry if head.timeout is None else replace(entry, timeout=max(head.timeout, 1e-6))
