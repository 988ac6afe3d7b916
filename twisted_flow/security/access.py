"""What a client brings along to a server: the TLS of its connections, and header fields, credentials among them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..errors import ConfigurationError
from .tls import client_context

__all__ = ["PLAIN", "Access", "access", "as_lines"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_OURS = frozenset(
    "connection content-length content-type host keep-alive sec-websocket-extensions sec-websocket-key "
    "sec-websocket-protocol sec-websocket-version te transfer-encoding upgrade".split()
)


class Access(Struct, frozen=True, kw_only=True):
    """See the module. What it has of credentials is not shown where it is printed."""

    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    own: bool = False
    """Whether `ca` is the very certificate of the server, of this process, for whichever name that is."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case."""

    def context(self, alpn: str) -> ssl.SSLContext | None:
        """For connections under TLS that are to speak *alpn*; None: they are plain.

        :raises ConfigurationError: if its files cannot be used.
        """
        if not self.tls:
            return None
        context = client_context(self.ca, self.cert, self.key, (alpn,))
        if self.own:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def __repr__(self) -> str:
        return f"Access(tls={self.tls}, headers={[name for name, _ in self.headers]})"


PLAIN = Access()
"""Nothing: connections without TLS."""


def access(
    tls: bool,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Access:
    """What these arguments of `Client` say.

    :param tls: whether the server's URL asks for TLS.
    :raises ConfigurationError: one line, where they cannot be used.
    """
    for name, file in (("ca", ca), ("cert", cert), ("key", key)):
        if file is not None and not tls:
            raise ConfigurationError(f"{name}={file!r} is for TLS: say https://, wss:// or grpcs:// in the host")
    fields = {name.lower(): value for name, value in (headers or {}).items()}
    for name, value in fields.items():
        if not _NAME.fullmatch(name) or name in _OURS or name.startswith("grpc-"):
            raise ConfigurationError(f"headers: {name!r} is no header field that a client may choose")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ConfigurationError(f"headers: the value of {name!r} is not printable ASCII")
    if token is not None:
        if "authorization" in fields:
            raise ConfigurationError("token= and the header field authorization say the same: give one of them")
        if not token or " " in token or not _VALUE.fullmatch(token):
            raise ConfigurationError("token= is printable ASCII, without spaces")
        fields["authorization"] = f"Bearer {token}"
    made = Access(tls=tls, ca=ca, cert=cert, key=key, headers=tuple(fields.items()))
    made.context("http/1.1")  # which says now what cannot be used
    return made


def as_lines(headers: Sequence[tuple[str, str]]) -> str:
    """*headers* as HTTP/1.1 writes them."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers)
