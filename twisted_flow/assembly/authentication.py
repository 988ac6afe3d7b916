"""Who tells a flow who asks: the authenticator that its settings name, found by adaptation or as a plugin."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from twisted.plugin import getPlugins
from twisted.python.components import registerAdapter
from zope.interface import implementer

from ..errors import ConfigurationError
from ..executor.load import load
from ..maybe import MaybeDeferred
from ..security.authenticator import Credentials, IAuthenticator, IAuthenticatorPlugin
from ..security.certificates import CertificateAuthenticator
from ..security.settings import SecuritySettings
from ..security.tokens import TokenFile
from ..suggestion import nearest
from ..telemetry.printable import one_line

__all__ = ["authenticator_of"]


@implementer(IAuthenticator)
class _Function:
    """A function that takes credentials, as an authenticator."""

    def __init__(self, function: Callable[[Credentials], MaybeDeferred[str]]) -> None:
        self._function = function

    def authenticate(self, credentials: Credentials) -> MaybeDeferred[str]:
        """See `IAuthenticator`."""
        return self._function(credentials)


for _kind in (FunctionType, MethodType):
    registerAdapter(_Function, _kind, IAuthenticator)


def authenticator_of(security: SecuritySettings) -> Any:
    """The `IAuthenticator` that *security* names; None: anybody may ask.

    :raises ConfigurationError: one line, if there is no such, or it cannot be made.
    """
    if security.tokens:
        return TokenFile(security.tokens)
    if security.authenticator is not None:
        return _adapted(security.authenticator)
    if security.tls is not None and security.tls.client_ca:
        return CertificateAuthenticator()
    return None


def _adapted(named: object) -> Any:
    found = _loaded(named) if isinstance(named, str) else named
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise ConfigurationError(f"authenticator={named!r} cannot be made: {one_line(error)}") from error
    adapted = IAuthenticator(found, None)
    if adapted is None:
        raise ConfigurationError(f"authenticator={named!r}: it neither provides IAuthenticator nor is a function")
    return adapted


def _loaded(name: str) -> object:
    if ":" in name:
        return load(name)
    installed = {plugin.name: plugin.authenticator for plugin in getPlugins(IAuthenticatorPlugin)}
    if name not in installed:
        near = nearest(name, list(installed))
        raise ConfigurationError(f"authenticator={name!r} is neither FILE.py:Class nor installed by that name{near}")
    found = installed[name]
    return load(found) if isinstance(found, str) else found
