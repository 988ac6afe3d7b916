"""Plain scalars in YAML, as people mean them: the core schema of YAML 1.2, and merge keys."""

from __future__ import annotations

import math
from typing import Any

import pytest

from twisted_flow.config.yaml import dump, read
from twisted_flow.errors import ConfigurationError

MEANT: list[tuple[str, Any]] = [
    ("1e-3", 0.001), ("1E5", 1e5), ("-.5", -0.5), ("5.", 5.0), ("+3", 3), ("010", 10), ("0o10", 8), ("0x1F", 31),
    ("12:30:00", "12:30:00"), ("1:2", "1:2"), ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"),
    ("true", True), ("FALSE", False), ("tRue", "tRue"), ("null", None), ("~", None), ("", None), ("Null", None),
    ("2020-01-02", "2020-01-02"), ("1_000", "1_000"), ("0b11", "0b11"), ("1.2.3", "1.2.3"), (".inf", math.inf),
    ("-.INF", -math.inf), ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"), ("!!int 5", 5), ("!!float 5", 5.0),
    ("=", "="), ("1e", "1e"), ("e5", "e5"), ("0x", "0x"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "meant"), MEANT)
def test_scalars(said: str, meant: Any) -> None:
    """As values, in lists, and out of the environment."""
    value = read(f"a: {said}\nb: [{said or '~'}]\n").value
    assert (value["a"], type(value["a"])) == (meant, type(meant))
    assert value["b"] == [meant]


@pytest.mark.parametrize(
    "value", [*(said for said, _ in MEANT), 1e-3, 1e300, -0.0, 10, True, None, math.inf, "<<", "$A"]
)
def test_what_is_written_is_read(value: Any) -> None:
    """As what it was."""
    again = read(dump({"a": value, "b": [value]})).value
    assert (again["a"], type(again["a"]), again["b"]) == (value, type(value), [value])


def test_not_a_number() -> None:
    """NaN is one."""
    assert math.isnan(read("a: .nan\n").value["a"])


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is nothing but a variable is read as its value would be; within a text, or quoted, it is a text."""
    monkeypatch.setenv("RATE", "1e-3")
    monkeypatch.setenv("ANSWER", "no")
    assert read("a: $RATE\nb: x$RATE\nc: '$RATE'\nd: $ANSWER\n").value == {
        "a": 0.001, "b": "x1e-3", "c": "1e-3", "d": "no",
    }  # fmt: skip


def test_merge_keys() -> None:
    """A mapping takes what it does not say itself from others; of several the first ones win."""
    text = "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\none: {<<: *base, b: 5}\nboth: {a: 0, <<: [*base, *other]}\nquoted: {'<<': 1}\n"
    value = read(text).value
    assert value["one"] == {"a": 1, "b": 5}
    assert value["both"] == {"a": 0, "b": 2, "c": 4}
    assert value["quoted"] == {"<<": 1}
    with pytest.raises(ConfigurationError, match="the text:2:9: << takes a mapping"):
        read("a: 1\nb: {<<: 5}\n")
