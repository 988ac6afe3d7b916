"""TLS by the standard library, of what an ``ssl:`` endpoint says: Twisted's own would need pyOpenSSL, and fails where a
connection changes its protocol.
"""

from __future__ import annotations

import re
import ssl

from ..errors import ConfigurationError

__all__ = ["read_tls"]

_KNOWN = ("port", "interface", "privateKey", "certKey", "backlog")


def read_tls(description: str) -> tuple[int, str, ssl.SSLContext]:
    """The port, the interface, and the TLS of *description*: ``ssl:PORT:privateKey=FILE:certKey=FILE:interface=HOST``.

    The chain of a certificate stands behind it in its file.

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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(said.get("certKey", key), key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot listen on {description}: {key}: {error.strerror or error}") from None
    return int(said["port"]), said.get("interface") or "0.0.0.0", context
