"""The file of tokens: what it may say, and what is told of it."""

from __future__ import annotations

import pathlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from tests.support import Log
from twisted_flow.errors import ConfigurationError, Unauthenticated
from twisted_flow.interfaces import IChanging
from twisted_flow.security.authenticator import Credentials, IAuthenticator
from twisted_flow.security.tokens import TokenFile, new_token


def shown(token: str, scheme: str = "bearer") -> Credentials:
    return Credentials(protocol="http", scheme=scheme, token=token)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tokens"


def test_it_knows_its_own(file: pathlib.Path) -> None:
    """Several for one name, comments, empty lines, hashes in capitals."""
    made = [new_token(name) for name in ("ann", "ann", "Bob Smith")]
    lines = [line for _, line in made]
    file.write_text(
        f"# of the team\n\n{lines[0]}\n{lines[1]}\n{lines[2].rpartition(':')[0]}:{lines[2].rpartition(':')[2].upper()}\n"
    )
    tokens = TokenFile(str(file))
    verifyObject(IAuthenticator, tokens)
    verifyObject(IChanging, tokens)
    assert [tokens.authenticate(shown(token)) for token, _ in made] == ["ann", "ann", "Bob Smith"]


@pytest.mark.parametrize("wrong", ["", "x", "ann", "\udcff", "é", sha256(b"x").hexdigest()])
def test_it_knows_no_other(file: pathlib.Path, wrong: str) -> None:
    """Nor a hash shown in place of its token."""
    token, line = new_token("ann")
    file.write_text(f"{line}\n")
    tokens = TokenFile(str(file))
    for each in (wrong, token[:-1], token + "x", token.swapcase(), line.rpartition(":")[2]):
        with pytest.raises(Unauthenticated):
            tokens.authenticate(shown(each))
    for scheme in ("", "basic", "token"):
        with pytest.raises(Unauthenticated):
            tokens.authenticate(shown(token, scheme))


def test_changes(file: pathlib.Path) -> None:
    """They hold at once; who watches is told; a broken file changes nothing."""
    (first, line), (second, other) = new_token("ann"), new_token("bob")
    file.write_text(f"{line}\n")
    tokens, told = TokenFile(str(file)), []
    end = tokens.watch(lambda: told.append(1))
    assert not tokens.look()
    file.write_text(f"{other}\n")
    assert not tokens.look()  # it may be being written just now
    assert tokens.look()
    assert told == [1]
    assert tokens.authenticate(shown(second)) == "bob"
    with pytest.raises(Unauthenticated):
        tokens.authenticate(shown(first))
    file.write_text(f"{other}\n{first}\n")  # the token itself, in place of its hash
    assert not tokens.look()
    with Log() as lines:
        assert not tokens.look()
    assert "line 2 is not name:sha256-of-token" in lines[0]
    assert first not in lines[0]
    file.unlink()
    assert not tokens.look()
    with Log() as lines:
        assert not tokens.look()
    assert "No such file" in lines[0]
    assert tokens.authenticate(shown(second)) == "bob"
    assert told == [1]
    end()


@pytest.mark.parametrize(
    "line", ["ann", "ann:", ":" + "0" * 64, "ann:" + "0" * 63, "ann:" + "g" * 64, "a\tb:" + "0" * 64]
)
def test_mistakes(file: pathlib.Path, line: str) -> None:
    file.write_text(f"\n{line}\n")
    with pytest.raises(ConfigurationError, match="line 2 is not name:sha256-of-token"):
        TokenFile(str(file))


@pytest.mark.parametrize("name", ["", "a:b", "#a", " a", "é", "a\nb"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name"):
        new_token(name)


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":#"), min_size=1))
def test_any_name_is_read_again(name: str) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".tokens") as written:
        token, line = new_token(name)
        written.write(line + "\n")
        written.flush()
        assert TokenFile(written.name).authenticate(shown(token)) == name


def test_nothing_secret_is_shown(file: pathlib.Path) -> None:
    token, _ = new_token("ann")
    assert token not in repr(shown(token)) + str(shown(token))
