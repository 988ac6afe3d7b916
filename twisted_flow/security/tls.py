"""TLS by the standard library: what a server shows and asks for, and what a client does.

Twisted's own would need pyOpenSSL, and fails where a connection changes its protocol.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from ..errors import ConfigurationError
from .watched_files import WatchedFiles

__all__ = ["ServerTLS", "TLSFiles", "alpn_of", "certificate_name", "client_context", "read_tls"]

_KNOWN = ("port", "interface", "privateKey", "certKey", "backlog")
_IN_ENDPOINTS = ("certKey", "privateKey", "")
_HANDSHAKE = 10.0  # seconds


class TLSFiles(Struct, frozen=True):
    """The files of a server's TLS, all PEM."""

    cert: str
    """Its certificate; the chain of that stands behind it."""
    key: str
    """The certificate's key."""
    client_ca: str = ""
    """The authorities whose certificates clients have to show; '': they have to show none."""
    names: tuple[str, str, str] = ("tls_cert", "tls_key", "tls_client_ca")
    """What errors call them."""


def alpn_of(protocols: Sequence[str]) -> tuple[str, ...]:
    """What a server of *protocols* agrees to (RFC 7301), most wanted first: browsers, which could do both, are to stay
    with HTTP/1.1, where there is any.
    """
    if "grpc" not in protocols:
        return ("http/1.1",)
    return ("h2", "http/1.1") if len(protocols) == 1 else ("http/1.1", "h2")


class ServerTLS(WatchedFiles[ssl.SSLContext]):
    """A server's TLS, with the certificates that its files hold now.

    :param files: where they are.
    :param alpn: what is agreed to, most wanted first.
    :param handshake_timeout: seconds that a handshake may take.
    :raises ConfigurationError: one line, where they cannot be used.
    """

    def __init__(self, files: TLSFiles, alpn: Sequence[str], handshake_timeout: float = _HANDSHAKE) -> None:
        self.files, self.alpn, self.handshake_timeout = files, tuple(alpn), handshake_timeout
        paths = [files.cert, files.key, *([files.client_ca] if files.client_ca else ())]
        super().__init__("TLS", paths, self._made)

    @property
    def context(self) -> ssl.SSLContext:
        """For a connection that begins now."""
        return self.said

    def _made(self) -> ssl.SSLContext:
        files = self.files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(list(self.alpn))
        _load_chain(context, files.cert, files.key, *files.names[:2])
        if files.client_ca:
            _load_authorities(context, files.client_ca, files.names[2])
            context.verify_mode = ssl.CERT_REQUIRED
            # A session that is resumed is not verified again: a certificate would outlive its authority.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context


def client_context(ca: str | None, cert: str | None, key: str | None, alpn: Sequence[str]) -> ssl.SSLContext:
    """What a client's TLS is made of.

    :param ca: a file with the authorities that it trusts; None: those that the system does.
    :param cert: the certificate that it shows; None: none.
    :param key: the certificate's key; None: it stands in *cert*.
    :raises ConfigurationError: one line, where they cannot be used.
    """
    if ca is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_authorities(context, ca, "ca")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(alpn))
    if key is not None and cert is None:
        raise ConfigurationError("key= is the key of cert=: say that too")
    if cert is not None:
        _load_chain(context, cert, key, "cert", "key")
    return context


def _load_chain(context: ssl.SSLContext, cert: str, key: str | None, cert_name: str, key_name: str) -> None:
    for name, path in ((cert_name, cert), (key_name, key)):
        if path is not None:
            _check_readable(name, path)
    try:
        context.load_cert_chain(cert, key, _no_password)
    except ssl.SSLError as error:
        why = {"KEY_VALUES_MISMATCH": "the key is not the certificate's"}.get(error.reason or "", _told(error))
        raise ConfigurationError(f"{cert_name}={cert!r}, {key_name}={key or cert!r}: {why}") from None
    except ValueError as error:  # the password, which nobody can be asked for
        raise ConfigurationError(f"{key_name}={key or cert!r}: {error}") from None


def _load_authorities(context: ssl.SSLContext, path: str, name: str) -> None:
    _check_readable(name, path)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ConfigurationError(f"{name}={path!r}: {_told(error)}") from None


def _check_readable(name: str, path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise ConfigurationError(f"{name}={path!r}: {error.strerror or error}") from None


def _no_password() -> str:
    raise ValueError("the key has a password: take one without")


def _told(error: ssl.SSLError) -> str:
    unusual = error.reason not in (None, "NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE", "PEM_LIB")
    return f"{error.reason}".lower().replace("_", " ") if unusual else "no PEM file that can be used"


def certificate_name(certificate: Mapping[str, Any]) -> str:
    """Whom *certificate* names, as `ssl.SSLSocket.getpeercert` tells it: its common name, or its first other name."""
    for part in certificate.get("subject", ()):
        for name, value in part:
            if name == "commonName" and value:
                return cast(str, value)
    return cast(str, next((value for _, value in certificate.get("subjectAltName", ())), ""))


def read_tls(description: str) -> tuple[int, str, TLSFiles]:
    """The port, the interface, and the files of *description*, an endpoint of Twisted's:
    ``ssl:PORT:privateKey=FILE:certKey=FILE:interface=HOST``.

    :raises ConfigurationError: one line, where that cannot be.
    """
    said: dict[str, str] = {}
    for position, part in enumerate(re.split(r"(?<!\\):", description)[1:]):
        name, equals, value = part.partition("=")
        name, value = (name, value) if equals else ("port", part)
        if name not in _KNOWN or (not equals and position):
            raise ConfigurationError(f"cannot listen on {description}: {name!r} is none of {', '.join(_KNOWN)}")
        said[name] = re.sub(r"\\(.)", r"\1", value)
    if not said.get("port", "").isdecimal():
        raise ConfigurationError(f"cannot listen on {description}: it names no port")
    key = said.get("privateKey", "server.pem")
    files = TLSFiles(said.get("certKey", key), key, names=_IN_ENDPOINTS)
    return int(said["port"]), said.get("interface") or "0.0.0.0", files
