"""Who makes a call of grpcio's server: found out before its messages are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import aio
from twisted.internet.defer import Deferred

from ...errors import FlowError
from ...loop import to_future
from ...security.authenticator import Credentials
from ...security.guard import Caller, Guard
from ..callers import credentials
from .admitting import OPEN

__all__ = ["LibraryGuard", "caller_in"]

Refuse = Callable[[FlowError, Any], Awaitable[None]]
"""Ends a call, whose context it is given, by an error; it never returns."""


async def caller_in(context: Any, guard: Guard | None, refuse: Refuse) -> Caller:
    """Who makes the call of *context*; one that may not is refused."""
    peer = _peer(context.peer())
    if guard is None:
        return Caller(peer)
    caller = Caller(
        peer, _shown(context.invocation_metadata(), peer, _certificate(context.auth_context())), guard=guard
    )
    try:
        asked = guard.admit(caller)
        if isinstance(asked, Deferred):
            await to_future(asked)
    except FlowError as error:
        await refuse(error, context)
    return caller


class LibraryGuard(aio.ServerInterceptor):  # type: ignore[misc]  # that package has no types
    """Refuses calls of all services that do not ask themselves (`caller_in`): of those only the metadata are known.

    :param asking: methods that do.
    """

    def __init__(self, guard: Guard, refuse: Refuse, asking: frozenset[str]) -> None:
        self._guard, self._refuse, self._asking = guard, refuse, asking

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        if details.method in self._asking or details.method.encode() in OPEN:
            return await continuation(details)
        try:
            asked = self._guard.admit(Caller("", _shown(details.invocation_metadata, "", None), guard=self._guard))
            if isinstance(asked, Deferred):
                await to_future(asked)
        except FlowError as raised:
            error = raised

            async def refuse(requests: object, context: Any) -> None:
                await self._refuse(error, context)

            return grpc.stream_stream_rpc_method_handler(refuse)
        return await continuation(details)


def _shown(metadata: Any, peer: str, certificate: dict[str, Any] | None) -> Credentials:
    authorization = next((value for name, value in metadata or () if name == "authorization"), "")
    return credentials("grpc", peer, authorization, certificate)


def _peer(said: str) -> str:
    """``ipv4:127.0.0.1:1234`` as 'host:port'."""
    family, _, address = said.partition(":")
    return address.replace("%5B", "[").replace("%5D", "]") if family in ("ipv4", "ipv6") else ""


def _certificate(told: Any) -> dict[str, Any] | None:
    """What grpcio tells of a certificate, as `ssl.SSLSocket.getpeercert` would."""
    if not told or not told.get("x509_pem_cert"):
        return None
    names = [name.decode() for name in told.get("x509_common_name", ())]
    others = [name.decode() for name in told.get("x509_subject_alternative_name", ())]
    return {
        "subject": tuple((("commonName", name),) for name in names),
        "subjectAltName": tuple(("DNS", name) for name in others),
    }
