"""Who is at the other end of a connection, and what was shown with a head that came over it."""

from __future__ import annotations

from typing import Any

from ..listen.hostport import joined
from ..maybe import MaybeDeferred
from ..security.authenticator import Credentials
from ..security.guard import Caller, Guard

__all__ = ["OtherEnd", "credentials", "peer_of"]


def peer_of(transport: Any) -> str:
    """The address of the other end of *transport*, as 'host:port'; '' where it has none."""
    peer = transport.getPeer()
    host = getattr(peer, "host", None)
    return "" if host is None else joined(host, peer.port)


class OtherEnd:
    """Who is at the other end of a connection: where from, and with which certificate.

    :param transport: the connection's, after its handshake.
    :param guard: finds out who asks.
    """

    __slots__ = ("_certificate", "_guard", "peer")

    def __init__(self, transport: Any, guard: Guard) -> None:
        self.peer, self._guard = peer_of(transport), guard
        certificate: Any = getattr(transport, "peer_certificate", dict)()  # another reactor's transports have none
        self._certificate = certificate or None

    def admit(self, protocol: str, authorization: str) -> MaybeDeferred[Caller]:
        """Find out who asks by a head with the field *authorization*, which may be '': see `Guard.admit`."""
        shown = credentials(protocol, self.peer, authorization, self._certificate)
        return self._guard.admit(Caller(self.peer, shown, None, None, self._guard))


def credentials(protocol: str, peer: str, authorization: str, certificate: dict[str, Any] | None) -> Credentials:
    """What that has shown."""
    scheme, _, token = authorization.partition(" ")
    return Credentials(protocol, peer, scheme.lower(), token.strip(), certificate)
