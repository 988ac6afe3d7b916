"""Finding out who asks by one head, once, before its body is read; which may take a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..errors import FlowError
from ..security.guard import Caller, Guard
from .callers import OtherEnd

__all__ = ["Admission", "Admissions"]


@final
class Admission:
    """What came of one head where that is not just somebody who may ask: who asks, or why that one may not; or neither,
    while it is being found out.

    :param asked: what the guard has said.
    :param known: called when it is known, where that is later.
    """

    __slots__ = ("_asking", "_known", "caller", "error")

    def __init__(self, asked: Deferred[Caller] | FlowError, known: Callable[[], object]) -> None:
        self.caller: Caller | None = None
        """Who asks."""
        self.error: FlowError | None = None
        """Why it may not ask."""
        self._known = known
        self._asking: Deferred[Caller] | None = None
        if isinstance(asked, FlowError):
            self.error = asked
        else:
            self._asking = asked
            asked.addCallbacks(self._admitted, self._denied)

    @property
    def asking(self) -> bool:
        """Whether it is not known yet."""
        return self._asking is not None

    def outcome(self) -> Caller | Admission:
        """Who asks, once that is known; else itself."""
        return self if self.caller is None else self.caller

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()

    def _admitted(self, caller: Caller) -> None:
        if self._asking is not None:
            self._asking, self.caller = None, caller
            self._known()

    def _denied(self, failure: Failure) -> None:
        if self._asking is None:
            return
        self._asking, self.error = None, cast(FlowError, failure.value)
        self._known()


@final
class Admissions:
    """Of the heads of one connection, one after another.

    :param guard: finds it out; None: anybody may ask.
    :param connection: the connection's; its ``transport`` leads to the caller.
    :param known: called when it is known who asks, where that took a while; nothing is to be read until then.
    """

    __slots__ = ("_connection", "_end", "_guard", "_known", "current")

    def __init__(self, guard: Guard | None, connection: Any, known: Callable[[], object]) -> None:
        self._guard, self._connection, self._known = guard, connection, known
        self._end: OtherEnd | None = None
        self.current: Caller | Admission | None = None
        """Of the head whose request is not taken yet: see `of`."""

    def of(self, protocol: str, authorization: bytes) -> Caller | Admission:
        """Who asks by the head that is looked at, with the field *authorization*; or what came of it instead."""
        current = self.current
        if current is not None:
            return current if type(current) is Caller else current.outcome()
        if self._end is None:
            self._end = OtherEnd(self._connection.transport, cast(Guard, self._guard))
        try:
            asked = self._end.admit(protocol, authorization)
        except FlowError as error:
            self.current = Admission(error, self._known)
        else:
            self.current = asked if type(asked) is Caller else Admission(asked, self._known)
        return self.current

    @property
    def asking(self) -> bool:
        """Whether it is not known yet who asks."""
        return type(self.current) is Admission and self.current.asking

    def taken(self) -> None:
        """The request is taken: the next head is another one."""
        self.current = None

    def cancel(self) -> None:
        """The connection is gone, or another protocol's."""
        if type(self.current) is Admission:
            self.current.cancel()
