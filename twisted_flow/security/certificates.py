"""Callers known by the certificate that they have shown: mutual TLS, where nothing else tells who asks."""

from __future__ import annotations

from zope.interface import implementer

from ..errors import Unauthenticated
from .authenticator import Credentials, IAuthenticator
from .tls import certificate_name

__all__ = ["CertificateAuthenticator"]


@implementer(IAuthenticator)
class CertificateAuthenticator:
    """See the module. A caller is called as its certificate is: see `certificate_name`."""

    def authenticate(self, credentials: Credentials) -> str:
        """See `IAuthenticator`."""
        if not credentials.certificate:
            raise Unauthenticated("a certificate is needed")
        name = certificate_name(credentials.certificate)
        if not name:
            raise Unauthenticated("the certificate names nobody")
        return name
