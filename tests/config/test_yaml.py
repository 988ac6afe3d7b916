"""YAML with variables, and errors that say where."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from twisted_flow import ConfigurationError
from twisted_flow.config.yaml import dump, read


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    name: str = ""


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    items: list[Item] = []


class Outer(Struct, forbid_unknown_fields=True):
    number: int = 0
    inner: Inner = Inner()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_NUMBER", "12")
    monkeypatch.setenv("FLOW_TEXT", "a: b # {c}")
    monkeypatch.setenv("FLOW_EMPTY", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: $FLOW_NUMBER", 12),
        ("a: ${FLOW_NUMBER}", 12),
        ("a: ${{ ENV.FLOW_NUMBER }}", 12),
        ("a: ${{ENV.FLOW_NUMBER}}", 12),
        ("a: '$FLOW_NUMBER'", "12"),
        ("a: {b: ${{ ENV.FLOW_NUMBER }}, c: [${FLOW_NUMBER}]}", {"b": 12, "c": [12]}),
        ("a: x$FLOW_NUMBER-${FLOW_NUMBER}", "x12-12"),
        ("a: $FLOW_TEXT", "a: b # {c}"),
        ('a: "$FLOW_EMPTY"', ""),
        ("a: $FLOW_EMPTY", None),
        ("a: $$FLOW_NUMBER", "$FLOW_NUMBER"),
        ("a: $$$FLOW_NUMBER", "$12"),
        ("a: 5$", "5$"),
        ("a: $5", "$5"),
        ("a: =", "="),
        ("b: $$\na: \ue000\u0100", "\ue000\u0100"),
        ("# $NO_SUCH_THING\na: 1", 1),
        ("a: &x [1]\nb: *x", [1]),
    ],
)
def test_variables(text: str, value: Any) -> None:
    """Variables are put in where values stand; what is nothing else is read as YAML reads it."""
    assert read(text + "\n").value["a"] == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: 1\nb: $FLOW_NUMBRE\n",
            "the text:2:1: there is no environment variable FLOW_NUMBRE; did you mean 'FLOW_NUMBER'?",
        ),
        ("a: 1\na: 2\n", "the text:2:1: the key 'a' is there twice"),
        ("1: 2\n", "the text:1:1: the key 1 is no text: write it in quotes"),
        ("a:\n  - [\n", "the text:3:1: expected the node content, but found '<stream end>'"),
        ("a: !!python/object:os.system 1\n", "could not determine a constructor for the tag"),
        ("a: !!int abc\n", "the text:1:1: 'abc' is no int"),
        ("a: !!bool maybe\n", "the text:1:1: 'maybe' is no bool"),
        ("a: ${NAME:-x}\n", "the text:1:1: after a dollar stands {NAME} or {{ ENV.NAME }}; $$ is a dollar"),
        ("a: &a [*a]\n", "the text: it contains itself"),
        ("number: x\n", "the text:1:1: number: Expected `int`, got `str`"),
        ("number: 1\ninner: {}\ninnner: {}\n", "the text:3:1: there is no key 'innner'; did you mean 'inner'?"),
        (
            "inner:\n  items:\n    - {name: a}\n    - {nmae: b}\n",
            "the text:4:8: there is no key 'nmae'; did you mean 'name'?",
        ),
    ],
)
def test_errors(text: str, said: str) -> None:
    """One line, with file, line, column, and the nearest key."""
    with pytest.raises(ConfigurationError) as raised:
        read(text).convert(Outer)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files(tmp_path: pathlib.Path) -> None:
    """A file knows its folder; one that cannot be read is told in one line."""
    (tmp_path / "a.yml").write_text("a: 1")
    file = read(tmp_path / "a.yml")
    assert (file.value, file.folder) == ({"a": 1}, tmp_path)
    (tmp_path / "b.yml").write_bytes(b"\xff")
    for name, said in (("b.yml", "is not UTF-8"), ("c.yml", "No such file or directory")):
        with pytest.raises(ConfigurationError, match=f"{name}: {said}"):
            read(str(tmp_path / name))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab$ :{", max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("ab", min_size=1), PLAIN, min_size=1))
def test_round_trip(value: dict[str, Any]) -> None:
    """What is written is read as it was."""
    assert read(dump(value) + "\n").value == value


def test_what_cannot_be_written() -> None:
    """An object is no YAML."""
    with pytest.raises(ConfigurationError, match="cannot be saved"):
        dump({"a": object()})
