"""The one place where an authenticator is asked, whichever way a caller has come; and where callers are revoked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, final

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import FlowError, PermissionDenied, Unauthenticated, Unavailable
from ..interfaces import IChanging
from ..maybe import MaybeDeferred
from ..telemetry.printable import forget_frames
from ..telemetry.tracebacks import told_in_full
from .authenticator import Credentials, IAuthenticator
from .certificates import CertificateAuthenticator

__all__ = ["Caller", "Guard"]

log = Logger()

_PATIENCE = 10.0  # seconds that an authenticator has


@final
class Caller(Struct, eq=False):
    """Who asks."""

    peer: str
    """Where from: 'host:port', or '' where that says nothing."""
    credentials: Credentials | None = None
    """What was shown with the head; None: nobody is asked who that is."""
    principal: str | None = None
    """Its name, once that is known."""
    revoked: FlowError | None = None
    """Why it may ask no more."""
    guard: Guard | None = None
    """Who finds it out."""
    asked_in: int = 0
    """The generation in which that was asked last."""

    def hold(self, end: Callable[[], object]) -> Callable[[], object]:
        """Have *end* called when it may have what is open no more; `revoked` says why then.

        :return: to be called when it is closed.
        """
        return _nothing if self.guard is None else self.guard.hold(self, end)


class Guard:
    """See the module.

    :param authenticator: tells who a caller is.
    :param clock: hands out time.
    """

    def __init__(self, authenticator: IAuthenticator, clock: IReactorTime) -> None:
        self._authenticate, self._clock = authenticator.authenticate, clock
        self.generation = 0
        """Of what the authenticator knows."""
        self.by_certificate = isinstance(authenticator, CertificateAuthenticator)
        """Whether a handshake that has succeeded says it all."""
        self._held: dict[Caller, dict[object, Callable[[], object]]] = {}  # what ends each thing that it has open
        changing = IChanging(authenticator, None)
        self.remembers = changing is not None or self.by_certificate
        """Whether what was found out by some credentials holds for a generation."""
        if changing is not None:
            changing.watch(self.ask_again)

    def admit(self, caller: Caller) -> MaybeDeferred[Caller]:
        """Find out who *caller* is, by its credentials.

        :return: *caller*, whose principal is known; or a Deferred of it, which fails with a `FlowError`.
        :raises Unauthenticated: if nobody knows.
        :raises PermissionDenied: if it may not ask; and whatever else goes wrong here.
        """
        generation = caller.asked_in = self.generation
        try:
            who: MaybeDeferred[str] = self._authenticate(cast(Credentials, caller.credentials))
        except BaseException:
            raise _denial(Failure()) from None
        if type(who) is str and who:
            caller.principal = who
            return caller
        if not isinstance(who, Deferred):
            return _named(who, caller, generation)
        who.addTimeout(_PATIENCE, self._clock)
        asked: Deferred[Any] = who.addCallbacks(_named, _failed, (caller, generation))
        known = asked.result if asked.called else None  # what is there already need not be waited for
        if isinstance(known, Failure):
            asked.addErrback(lambda _: None)
            raise cast(FlowError, known.value) from None
        return caller if known is caller else asked

    def hold(self, caller: Caller, end: Callable[[], object]) -> Callable[[], object]:
        """Have *end* called when *caller*, who has something open, may have it no more; its ``revoked`` says why.

        :return: to be called when it is closed.
        """
        key = object()
        self._held.setdefault(caller, {})[key] = end
        if caller.revoked is not None or caller.asked_in != self.generation:  # what holds no more was asked before
            self._clock.callLater(0, self._ask_about, caller)
        return lambda: self._release(caller, key)

    def _release(self, caller: Caller, key: object) -> None:
        ends = self._held.get(caller)
        if ends is not None:
            ends.pop(key, None)
            if not ends:
                del self._held[caller]

    def ask_again(self) -> None:
        """What the authenticator knows has changed: ask about all callers who have something open."""
        self.generation += 1
        for caller in list(self._held):
            self._ask_about(caller)

    def _ask_about(self, caller: Caller) -> None:
        """Ask about who has something open, if it is open still."""
        if caller not in self._held:
            return
        if caller.revoked is not None:
            self._revoke(caller.revoked, caller)
            return
        generation = self.generation
        try:
            asked = self.admit(caller)
        except FlowError as error:
            self._revoke(error, caller)
            return
        if isinstance(asked, Deferred):
            asked.addErrback(lambda failure: self._denied(cast(FlowError, failure.value), caller, generation))

    def _denied(self, error: FlowError, caller: Caller, generation: int) -> None:
        """That is so, if nobody has asked again meanwhile."""
        if generation == self.generation:
            self._revoke(error, caller)

    def _revoke(self, error: FlowError, caller: Caller) -> None:
        if isinstance(error, Unavailable):  # that nobody could tell is no reason
            return
        caller.revoked = error
        for end in self._held.pop(caller, {}).values():
            end()


def _nothing() -> None:
    pass


def _named(who: object, caller: Caller, generation: int) -> Caller:
    if not isinstance(who, str) or not who:
        log.error("the authenticator has returned {who!r}, which is no name: the caller is refused", who=type(who))
        raise PermissionDenied("who calls could not be found out")
    if caller.principal is None or generation == caller.asked_in:  # else it is known better
        caller.principal = who
    return caller


def _failed(failure: Failure) -> Failure:
    return Failure(_denial(failure))


def _denial(failure: Failure) -> FlowError:
    """The error that a caller gets for what an authenticator has raised."""
    error = cast(BaseException, failure.value)
    if isinstance(error, Unauthenticated | PermissionDenied):
        return error
    if isinstance(error, CancelledError):
        return Unavailable("who calls could not be found out", retry_after=1)
    if isinstance(error, TimedOut):
        return Unavailable(f"who calls could not be found out within {_PATIENCE:g} s", retry_after=1)
    log.error("the authenticator has failed, the caller is refused: {error}", error=told_in_full(error))
    forget_frames(error)
    return PermissionDenied("who calls could not be found out")
