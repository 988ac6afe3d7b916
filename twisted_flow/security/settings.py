"""Who may ask, and over which connections, as a flow is told."""

from __future__ import annotations

import os

from msgspec import Struct

from ..errors import ConfigurationError
from .tls import TLSFiles

__all__ = ["SecuritySettings", "tls_files"]


class SecuritySettings(Struct, frozen=True, kw_only=True):
    """See the module."""

    tls: TLSFiles | None = None
    """None: connections are plain."""


def tls_files(cert: str | None, key: str | None, client_ca: str | None) -> TLSFiles | None:
    """The files that a flow's ``tls_cert``, ``tls_key`` and ``tls_client_ca`` name, wherever it runs later.

    :param key: None: it stands in *cert*.
    :raises ConfigurationError: if there is no certificate, but something else.
    """
    if cert is None:
        for name, said in (("tls_key", key), ("tls_client_ca", client_ca)):
            if said is not None:
                raise ConfigurationError(f"{name}={said!r}: TLS needs tls_cert= too")
        return None
    return TLSFiles(
        os.path.abspath(cert),
        os.path.abspath(cert if key is None else key),
        "" if client_ca is None else os.path.abspath(client_ca),
    )
