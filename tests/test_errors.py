"""The error tree, and the table that hangs on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.support import ROOT
from twisted_flow import errors
from twisted_flow.errors import FlowError, Reject
from twisted_flow.gateway.http.problem import write_problem


def outline(error: type[BaseException], indent: int = 0) -> Iterator[str]:
    yield " " * indent + error.__name__
    for child in sorted(error.__subclasses__(), key=lambda each: each.__name__):
        yield from outline(child, indent + 2)


def test_drawing() -> None:
    """The tree in the module's docstring is the tree."""
    drawn = dedent((errors.__doc__ or "").split("::\n")[1].split("\n\nA user")[0]).strip()
    assert drawn == "\n".join(outline(FlowError))


TABLE = """
BadRequest 400 INVALID_ARGUMENT no
Unauthenticated 401 UNAUTHENTICATED no
PermissionDenied 403 PERMISSION_DENIED no
NotFound 404 NOT_FOUND no
MethodNotAllowed 405 UNIMPLEMENTED no
NotAcceptable 406 INVALID_ARGUMENT no
UnsupportedMediaType 415 INVALID_ARGUMENT no
RequestTimeout 408 DEADLINE_EXCEEDED yes
PayloadTooLarge 413 RESOURCE_EXHAUSTED no
ValidationError 422 INVALID_ARGUMENT no
ExecutorError 500 INTERNAL no
Conflict 409 ABORTED no
QueueFull 503 RESOURCE_EXHAUSTED yes
Unavailable 503 UNAVAILABLE yes
DeadlineExceeded 504 DEADLINE_EXCEEDED no
Cancelled 499 CANCELLED no
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_table(row: str) -> None:
    """Each error has its HTTP status, its gRPC status, and says whether to try again."""
    name, http, grpc, retryable = row.split()
    error = getattr(errors, name)("why")
    assert (error.http_status, error.grpc_status, error.retryable) == (int(http), grpc, retryable == "yes")
    told = write_problem(error, "r1")
    assert told.content_type == "application/problem+json"
    assert f'"title":"{name}","status":{http},"detail":"why","instance":"r1"'.encode() in told.body


def test_table_is_whole() -> None:
    """No error is missing in the table above."""
    assert {row.split()[0] for row in TABLE.strip().splitlines()} == {e.__name__ for e in FlowError.__subclasses__()}


def test_reject() -> None:
    """User code picks an error by its name; a name that there is not is its own mistake."""
    assert isinstance(Reject("NotFound", "no such page").error, errors.NotFound)
    assert Reject("QueueFull", retry_after=3).error.retry_after == 3
    with pytest.raises(ValueError, match="NoSuch"):
        Reject("NoSuch")


def test_public_names() -> None:
    """What the package offers is what `__all__` says, and README names them all."""
    import twisted_flow

    for name in twisted_flow.__all__:
        assert getattr(twisted_flow, name).__name__ == name
    assert set(twisted_flow.__all__) <= set(dir(twisted_flow))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = twisted_flow.nonsense  # type: ignore[attr-defined]


def test_every_module_names_its_public_names() -> None:
    """Each module says at its top what it offers."""
    for path in (ROOT / "twisted_flow").rglob("*.py"):
        text = path.read_text()
        if path.name != "__init__.py":
            assert re.search(r"^__all__ = ", text, re.MULTILINE), path
