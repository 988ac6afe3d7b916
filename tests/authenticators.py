"""Authenticators for tests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_flow.errors import Unauthenticated
from twisted_flow.interfaces import IChanging
from twisted_flow.security.authenticator import Credentials, IAuthenticator


@implementer(IAuthenticator)
class Answers:
    """An authenticator that does what it is told."""

    def __init__(self, says: Any = "ann") -> None:
        self.says = says

    def authenticate(self, credentials: Credentials) -> Any:
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says() if callable(self.says) else self.says


@implementer(IChanging)
class Says(Answers):
    """One that tells when it would say something else."""

    def __init__(self, says: Any = "ann") -> None:
        super().__init__(says)
        self.changed = lambda: None

    def watch(self, forget: Any) -> Any:
        self.changed = forget
        return lambda: None


class Knows(Says):
    """An authenticator that knows one token, at once or later."""

    def __init__(self, later: bool = False) -> None:
        super().__init__()
        self.later, self.asked = later, list[Deferred[str]]()
        self.seen: list[Credentials] = []

    def authenticate(self, credentials: Credentials) -> Any:
        self.seen.append(credentials)
        if not self.later:
            return self.answer(credentials)
        asked: Deferred[str] = Deferred()
        self.asked.append(asked)
        return asked

    def answer(self, credentials: Credentials) -> str:
        if credentials.token != "hunter2":
            raise Unauthenticated("who are you?")
        return "ann"

    def settle(self, position: int) -> None:
        try:
            self.asked[position].callback(self.answer(self.seen[position]))
        except Unauthenticated as error:
            self.asked[position].errback(error)
