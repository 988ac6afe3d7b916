"""Tokens that callers show (``Authorization: Bearer``), of which a file holds the names and the hashes alone."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

from zope.interface import implementer

from ..errors import ConfigurationError, Unauthenticated
from ..generation import Generation
from ..interfaces import IChanging
from .authenticator import Credentials, IAuthenticator
from .watched_files import WatchedFiles

__all__ = ["TokenFile", "new_token"]

_LINE = re.compile(r"([!-9;-~](?:[ -9;-~]*[!-9;-~])?):([0-9a-fA-F]{64})")  # RFC 7617's user names have no colon either
_BYTES = 32  # of a token: as many as its hash has


@implementer(IAuthenticator, IChanging)
class TokenFile(WatchedFiles[dict[bytes, str]]):
    """The tokens of a file: a line for each, ``name:sha256-of-token``; empty lines, and those after #, say nothing.

    A name may have several, so that one can be exchanged. The file is read again when it changes.

    :param path: the file's.
    :raises ConfigurationError: one line, where it cannot be used; what stands in it is not told.
    """

    def __init__(self, path: str) -> None:
        self._generation = Generation()
        self.watch = self._generation.watch
        super().__init__("tokens", [path], self._known)

    def look(self, again: bool = False) -> bool:
        """See `WatchedFiles`. Whoever watches is told."""
        changed = super().look(again)
        if changed:
            self._generation.end()
        return changed

    def authenticate(self, credentials: Credentials) -> str:
        """See `IAuthenticator`."""
        if credentials.scheme != "bearer":
            raise Unauthenticated("a token is needed: Authorization: Bearer TOKEN")
        token = credentials.token
        name = self.said.get(sha256(token.encode()).digest()) if token.isascii() else None
        if name is None:
            raise Unauthenticated("the token is not known")
        return name

    def _known(self) -> dict[bytes, str]:
        (path,) = self.paths
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"tokens={path!r}: {getattr(error, 'strerror', None) or error}") from None
        known: dict[bytes, str] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line.strip())
            if found is None:
                raise ConfigurationError(f"tokens={path!r}: line {number} is not name:sha256-of-token; see --new-token")
            known[bytes.fromhex(found[2])] = found[1]
        return known


def new_token(name: str) -> tuple[str, str]:
    """A token for *name*, and the line of it for the file.

    :raises ConfigurationError: if that is no name.
    """
    token = secrets.token_urlsafe(_BYTES)
    line = f"{name}:{sha256(token.encode()).hexdigest()}"
    if not _LINE.fullmatch(line) or name.startswith("#"):
        raise ConfigurationError(f"{name!r} is no name: printable ASCII without a colon, and no # at its beginning")
    return token, line
