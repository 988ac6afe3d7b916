"""What a caller shows of itself, and what tells from that who it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from msgspec import Struct
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

from ..maybe import MaybeDeferred

__all__ = ["Credentials", "IAuthenticator", "IAuthenticatorPlugin"]


@final
class Credentials(Struct, frozen=True):
    """What came with the head of a request, a handshake or a call. Its token is not shown where it is printed."""

    protocol: str
    """'http', 'websocket' or 'grpc'."""
    address: str = ""
    """The caller's, as 'host:port'; '' where it has none."""
    scheme: str = ""
    """Of ``Authorization``, in lower case, such as 'bearer'; '': there is none."""
    token: str = ""
    """What stands behind the scheme."""
    certificate: Mapping[str, Any] | None = None
    """What the caller's certificate says, which has been verified, as `ssl.SSLSocket.getpeercert` tells it."""

    def __repr__(self) -> str:
        return f"Credentials({self.protocol} from {self.address!r}, {self.scheme!r})"


class IAuthenticator(Interface):
    """Tells who asks. Asked in one place (`Guard`) for each HTTP request, WebSocket handshake and gRPC call, when its
    head has ended, and before its body is read. One that provides `IChanging` too is asked again about who has open
    WebSockets and streams, whenever what it knows has changed; and until then only once about each credentials that
    the heads of a connection show one after another.
    """

    def authenticate(credentials: Credentials) -> MaybeDeferred[str]:
        """Who shows *credentials*.

        :return: the caller's name, the *principal*, which is never '': what ``context.principal`` and the access log
            say; or a Deferred of it.
        :raises Unauthenticated: if that cannot be told: without credentials, say.
        :raises PermissionDenied: if it can, and that caller may not ask. What else is raised is a denial too.
        """


class IAuthenticatorPlugin(IPlugin):
    """An authenticator that a package brings along: put one into a module of ``twisted.plugins``."""

    name = Attribute("``str``: what ``authenticator=`` and ``--authenticator`` call it.")
    authenticator = Attribute("What ``authenticator=`` takes: a class, or 'package.module:Class', imported when used.")
