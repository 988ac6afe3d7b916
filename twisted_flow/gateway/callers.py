"""Who is at the other end of a connection, and what was shown with a head that came over it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred

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

    __slots__ = ("_certificate", "_digest", "_generation", "_guard", "_known", "_protocol", "peer")

    def __init__(self, transport: Any, guard: Guard) -> None:
        self.peer, self._guard = peer_of(transport), guard
        certificate: Any = getattr(transport, "peer_certificate", dict)()  # another reactor's transports have none
        self._certificate = certificate or None
        self._known: Caller | None = None  # who was found last,
        self._protocol, self._digest = "", b""  # by a head of which, with a field of which,
        self._generation = 0  # and when

    def admit(self, protocol: str, authorization: bytes) -> MaybeDeferred[Caller]:
        """Find out who asks by a head with the field *authorization*, which may be b'': see `Guard.admit`. Where that
        holds for a generation, who was found by it last on this connection is not asked about again within it.
        """
        guard = self._guard
        if not guard.remembers:
            return guard.admit(self._caller(protocol, authorization))
        generation, digest, known = guard.generation, sha256(authorization).digest(), self._known
        if known and digest == self._digest and generation == self._generation and protocol == self._protocol:
            return known
        asked = guard.admit(self._caller(protocol, authorization))

        def found(caller: Caller) -> Caller:
            self._known, self._protocol, self._digest, self._generation = caller, protocol, digest, generation
            return caller

        return asked.addCallback(found) if isinstance(asked, Deferred) else found(asked)

    def _caller(self, protocol: str, authorization: bytes) -> Caller:
        shown = credentials(protocol, self.peer, authorization.decode("latin-1"), self._certificate)
        return Caller(self.peer, shown, guard=self._guard)


def credentials(protocol: str, peer: str, authorization: str, certificate: dict[str, Any] | None) -> Credentials:
    """What that has shown."""
    scheme, _, token = authorization.partition(" ")
    return Credentials(protocol, peer, scheme.lower(), token.strip(), certificate)
