"""Who may ask, and over which connections, as a flow is told."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct

from ..errors import ConfigurationError
from .tls import TLSFiles

__all__ = ["OPEN", "SecuritySettings", "security_settings", "tls_files"]

OPEN = ("docs",)
"""What can be open: ``docs`` are the docs pages, and the OpenAPI document."""


class SecuritySettings(Struct, frozen=True, kw_only=True):
    """See the module."""

    tls: TLSFiles | None = None
    """None: connections are plain."""
    tokens: str = ""
    """The file with the tokens of those who may ask; '': there is none."""
    authenticator: object = None
    """What tells who asks, in place of that."""
    open: tuple[str, ...] = ()
    """What anybody may ask for all the same: of `OPEN`."""

    @property
    def asks(self) -> bool:
        """Whether callers have to show who they are."""
        mutual = self.tls is not None and bool(self.tls.client_ca)
        return bool(self.tokens) or self.authenticator is not None or mutual


def security_settings(
    tls: TLSFiles | None, tokens: str | None, authenticator: object, open: str | Sequence[str]
) -> SecuritySettings:
    """What these arguments of `Flow` say.

    :raises ConfigurationError: one line, where they cannot be.
    """
    opened = (open,) if isinstance(open, str) else tuple(open)
    for each in opened:
        if each not in OPEN:
            raise ConfigurationError(f"open={each!r}: what can be open to anybody is {', '.join(OPEN)}")
    if tokens and authenticator is not None:
        raise ConfigurationError("tokens= and authenticator= both tell who asks: give one of them")
    made = SecuritySettings(
        tls=tls, tokens=os.path.abspath(tokens) if tokens else "", authenticator=authenticator, open=opened
    )
    if opened and not made.asks:
        raise ConfigurationError("open= is for flows whose callers show who they are: say tokens= too")
    return made


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
