"""Which nodes a request is meant for."""

from __future__ import annotations

import pytest

from twisted_flow.errors import ValidationError
from twisted_flow.graph.target import named

NAMES = ["encode", "encode_large", "rank", "r" * 30]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("", NAMES),
        ("encode", ["encode", "encode_large"]),
        ("encode$", ["encode"]),
        ("(encode|rank).*", ["encode", "encode_large", "rank"]),
        (".*_large", ["encode_large"]),
        ("(?=r)[a-z]+?k", ["rank"]),
        ("(?:en(?:co(?:de)))_?", ["encode", "encode_large"]),
        ("(?>r+)$", ["r" * 30]),
        ("(e)?(?(1)ncode|rank)", ["encode", "encode_large", "rank"]),
        ("x*" * 3 + "rank", ["rank"]),
    ],
)
def test_named(target: str, expected: list[str]) -> None:
    """Those whose names begin with a match."""
    assert list(named(target, NAMES)) == expected


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("(", "not a regular expression"),
        ("a{99999999999}", "not a regular expression"),
        ("(?:(?:.?){9}){9}!", "not supported"),
        ("(r+)+!", "not supported"),
        (".*" * 10 + "!", "not supported"),
        ("(|)" * 30 + "!", "not supported"),
        ("(?=(r|r)*!)", "not supported"),
        ("(?:(?:(?:r{4000}){4000}){4000})?!", ""),
        ("(?:r|rr){0,4000000000}!", "not supported"),
        ("r" * 501, "more than 500"),
    ],
)
def test_refused(target: str, why: str) -> None:
    """What is not a regular expression, and what could keep the server busy; whatever is taken is quick."""
    if why:
        with pytest.raises(ValidationError, match=why) as wrong:
            named(target, NAMES)
        assert wrong.value.errors[0].pointer == "/targetPeapod"
    else:
        assert list(named(target, NAMES)) == []
