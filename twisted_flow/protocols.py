"""The protocols that a flow can be served over: ours, and those of plugins."""

from __future__ import annotations

from typing import cast

from msgspec import Struct
from twisted.plugin import IPlugin, getPlugins
from twisted.python.reflect import namedAny
from zope.interface import implementer

from .errors import ConfigurationError
from .interfaces import IChannel, IGateway, IGatewayMaker
from .security.access import PLAIN, Access
from .suggestion import nearest

__all__ = ["GRPC_SERVERS", "PROTOCOLS", "Protocol", "protocol_named", "protocol_of_scheme"]

GRPC_SERVERS = {"lane": "grpc", "grpcio": "grpcio"}
"""What ``grpc=`` names, and the protocol's row below. That of grpcio needs a port of its own."""


@implementer(IPlugin, IGatewayMaker)
class Protocol(Struct, frozen=True, kw_only=True):
    """One row of the table; a package that brings a protocol along puts one into a module of ``twisted.plugins``.

    Gateways and channels are named, not imported: Klein brings the reactor along, and who serves HTTP alone does
    without the others.
    """

    name: str
    """What ``--protocol`` and ``Client(protocol=)`` call it."""
    gateway: str
    """'package.module.name' of what makes its `IGateway` from a `Served`."""
    channel: str = ""
    """'package.module.name' of what makes an `IChannel` from a host, a port and an `Access`, which is left out where it
    says nothing; '': the client does not speak it."""
    schemes: tuple[str, ...] = ()
    """Of URLs that the client takes."""
    shares: str = ""
    """Protocols of the same word may share a port; '': it needs one of its own."""
    own_socket: bool = False
    """Whether the gateway binds its port itself, beside a socket that does not listen."""
    authenticates: bool = False
    """Whether the gateway asks the `Guard` of its `Served` about each caller; without that it serves no flow which has
    one."""

    def make(self, served: object) -> IGateway:
        """See `IGatewayMaker`."""
        return cast(IGateway, namedAny(self.gateway)(served))

    def make_channel(self, host: str, port: int, access: Access | None = None) -> IChannel:
        """See `IGatewayMaker`."""
        if not self.channel:
            raise ConfigurationError(f"protocol={self.name!r}: the client does not speak it")
        return cast(IChannel, namedAny(self.channel)(host, port, *([] if access in (None, PLAIN) else [access])))


PROTOCOLS: dict[str, IGatewayMaker] = {
    each.name: each
    for each in (
        Protocol(
            name="grpc",
            gateway="twisted_flow.gateway.grpc.gateway.GRPCGateway",
            channel="twisted_flow.channel.grpc.GRPCChannel",
            schemes=("grpc", "grpcs"),
            shares="http",
            authenticates=True,
        ),
        Protocol(
            name="grpcio",
            gateway="twisted_flow.gateway.grpc.library.LibraryGateway",
            own_socket=True,
            authenticates=True,
        ),
        Protocol(
            name="http",
            gateway="twisted_flow.gateway.http.gateway.HTTPGateway",
            channel="twisted_flow.channel.http.HTTPChannel",
            schemes=("http", "https"),
            shares="http",
            authenticates=True,
        ),
        Protocol(
            name="websocket",
            gateway="twisted_flow.gateway.websocket.gateway.WebSocketGateway",
            channel="twisted_flow.channel.websocket.WebSocketChannel",
            schemes=("ws", "wss"),
            shares="http",
            authenticates=True,
        ),
    )
}
"""Our own, by name. More are found as plugins."""


def protocol_named(name: str) -> IGatewayMaker:
    """The protocol called *name*.

    :raises ConfigurationError: if there is none.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    found = _plugins()
    if name not in found:
        known = [*PROTOCOLS, *found]
        raise ConfigurationError(f"protocol={name!r}: the protocols are {', '.join(known)}{nearest(name, known)}")
    return found[name]


def protocol_of_scheme(scheme: str) -> IGatewayMaker:
    """The protocol of URLs that begin with *scheme*.

    :raises ConfigurationError: if there is none.
    """
    known = list(PROTOCOLS.values())
    for each in known if any(scheme in each.schemes for each in known) else [*known, *_plugins().values()]:
        if scheme in each.schemes:
            return each
    schemes = ", ".join(scheme for each in known for scheme in each.schemes)
    raise ConfigurationError(f"there is no scheme {scheme!r}: the schemes are {schemes}")


def _plugins() -> dict[str, IGatewayMaker]:
    return {each.name: each for each in getPlugins(IGatewayMaker)}  # which looks through all of sys.path
