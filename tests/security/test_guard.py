"""The guard: whatever an authenticator does, a caller is known or refused."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from tests.authenticators import Says
from tests.support import Log, result_of
from twisted_flow.assembly.authentication import authenticator_of
from twisted_flow.errors import ConfigurationError, FlowError, NotFound, PermissionDenied, Unauthenticated, Unavailable
from twisted_flow.security.authenticator import Credentials, IAuthenticator
from twisted_flow.security.certificates import CertificateAuthenticator
from twisted_flow.security.guard import Caller, Guard
from twisted_flow.security.settings import SecuritySettings


def caller(guard: Guard | None = None) -> Caller:
    return Caller("127.0.0.1:1", Credentials(protocol="http", scheme="bearer", token="secret"), guard=guard)


def admitted(says: Any, clock: Clock | None = None) -> Any:
    try:
        found = Guard(Says(says), clock or Clock()).admit(caller())
    except FlowError as error:
        return error
    if isinstance(found, Deferred):
        found = result_of(found)
        found = getattr(found, "value", found)
    return found


@pytest.mark.parametrize("says", ["ann", lambda: succeed("ann")])
def test_known(says: Any) -> None:
    assert admitted(says).principal == "ann"


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (Unauthenticated("no"), Unauthenticated),
        (PermissionDenied("no"), PermissionDenied),
        (ValueError("secret"), PermissionDenied),
        (NotFound("secret"), PermissionDenied),
        (KeyboardInterrupt(), PermissionDenied),
    ],
)
def test_what_it_raises_is_a_denial(later: bool, raised: BaseException, told: type[FlowError]) -> None:
    """And only the log tells what it was, where it is none that is meant for callers."""
    with Log() as lines:
        error = admitted((lambda: fail(raised)) if later else raised)
    assert type(error) is told
    assert "secret" not in error.detail
    assert len(lines) == (0 if isinstance(raised, Unauthenticated | PermissionDenied) else 1)


@pytest.mark.parametrize("says", [None, "", 5, b"ann", ["ann"], lambda: succeed(None)])
def test_what_is_no_name_is_a_denial(says: Any) -> None:
    with Log() as lines:
        assert type(admitted(says)) is PermissionDenied
    assert "is no name" in lines[0]


def test_one_that_never_answers() -> None:
    clock = Clock()
    asked = Guard(Says(Deferred), clock).admit(caller())
    found: list[Any] = []
    asked.addErrback(lambda failure: found.append(failure.value))  # type: ignore[union-attr]
    clock.advance(9)
    assert not found
    clock.advance(2)
    assert type(found[0]) is Unavailable


class TestRevoking:
    def test_who_has_something_open(self) -> None:
        """It ends, where the caller may have it no more; and nobody is told twice, or once it has closed."""
        says, ended = Says(), []
        guard = Guard(says, Clock())
        first, second = caller(guard), caller(guard)
        for each in (first, second):
            guard.admit(each)
        first.hold(lambda: ended.append("first"))
        release = second.hold(lambda: ended.append("second"))
        says.changed()
        assert not ended
        release()
        says.says = Unauthenticated("revoked")
        says.changed()
        assert ended == ["first"]
        assert str(first.revoked) == "revoked"
        assert second.revoked is None

    def test_one_that_answers_later(self) -> None:
        says, ended, asked = Says(), [], Deferred[str]()
        guard = Guard(says, Clock())
        who = caller(guard)
        guard.admit(who)
        who.hold(lambda: ended.append(1))
        says.says = lambda: asked
        says.changed()
        assert not ended
        asked.errback(PermissionDenied("gone"))
        assert ended == [1]

    def test_two_things_of_one_caller(self) -> None:
        """Both end; also one that is opened later, by a head that came before."""
        says, ended, clock = Says(), [], Clock()
        guard = Guard(says, clock)
        who = caller(guard)
        guard.admit(who)
        who.hold(lambda: ended.append(1))
        release = who.hold(lambda: ended.append(2))
        asked = Deferred[str]()
        says.says = lambda: asked
        says.changed()
        who.hold(lambda: ended.append(3))  # while it is asked
        clock.advance(1)
        asked.errback(Unauthenticated("revoked"))
        assert ended == [1, 2, 3]
        release()
        who.hold(lambda: ended.append(4))
        clock.advance(1)
        assert ended == [1, 2, 3, 4]

    @pytest.mark.parametrize("last", ["bob", Unauthenticated("revoked")])
    def test_answers_that_come_too_late(self, last: Any) -> None:
        """What was asked last counts, whichever answer comes first."""
        says, ended = Says(), []
        guard = Guard(says, Clock())
        who = caller(guard)
        guard.admit(who)
        who.hold(lambda: ended.append(1))
        asked = [Deferred[str](), Deferred[str]()]
        for each in asked:
            says.says = lambda each=each: each
            says.changed()
        asked[1].callback(last) if isinstance(last, str) else asked[1].errback(last)
        asked[0].errback(Unauthenticated("older")) if isinstance(last, str) else asked[0].callback("older")
        assert ended == ([] if isinstance(last, str) else [1])
        assert who.principal == (last if isinstance(last, str) else "ann")

    def test_that_nobody_can_tell_is_no_reason(self) -> None:
        says, ended, clock = Says(), [], Clock()
        guard = Guard(says, clock)
        who = caller(guard)
        guard.admit(who)
        who.hold(lambda: ended.append(1))
        says.says = Deferred
        says.changed()
        clock.advance(60)
        assert not ended


class TestNaming:
    """What ``authenticator=`` takes."""

    def test_an_object_its_class_and_a_function(self) -> None:
        def check(credentials: Credentials) -> str:
            return credentials.token

        for given in (Says, Says(), check):
            found = authenticator_of(SecuritySettings(authenticator=given))
            assert IAuthenticator.providedBy(found)
        assert found.authenticate(Credentials(protocol="http", token="ann")) == "ann"

    def test_by_name(self) -> None:
        found = authenticator_of(SecuritySettings(authenticator="tests.authenticators:Says"))
        assert isinstance(found, Says)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (5, "neither provides IAuthenticator nor is a function"),
            (object, "neither provides"),
            ("nobody", "nor installed by that name"),
            ("tests.security.test_guard:Nothing", "has no 'Nothing'"),
            ("tests.security.test_guard:Broken", "cannot be made: ValueError: no"),
        ],
    )
    def test_mistakes(self, given: Any, said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            authenticator_of(SecuritySettings(authenticator=given))


class Broken(Says):
    def __init__(self) -> None:
        raise ValueError("no")


class TestCertificates:
    @pytest.mark.parametrize(
        ("certificate", "name"),
        [
            ({"subject": ((("countryName", "DE"),), (("commonName", "ann"),))}, "ann"),
            ({"subject": (), "subjectAltName": (("URI", "spiffe://a/b"), ("DNS", "x"))}, "spiffe://a/b"),
        ],
    )
    def test_their_names(self, certificate: Any, name: str) -> None:
        found = CertificateAuthenticator().authenticate(Credentials(protocol="grpc", certificate=certificate))
        assert found == name

    @pytest.mark.parametrize("certificate", [None, {}, {"subject": ()}])
    def test_those_that_name_nobody(self, certificate: Any) -> None:
        with pytest.raises(Unauthenticated):
            CertificateAuthenticator().authenticate(Credentials(protocol="grpc", certificate=certificate))
