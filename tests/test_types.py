"""What type checkers, and editors, are told of the names that users touch."""

from __future__ import annotations

import inspect
import pathlib
import re
import subprocess
import sys

from tests.support import ROOT
from twisted_flow import Document

PROGRAM = """
from collections.abc import AsyncIterator
from typing import assert_type

from twisted_flow import AsyncFlow, Client, Document, Flow
from twisted_flow.message import Response

client = Client(port=1)
assert_type(client.post("/", return_results=True), list[Response])
assert_type(client.search("x", return_results=True), list[Response])
client.post("/", on_done=print, request_size=5)
later = Client(port=1, asyncio=True)
assert_type(later.post("/", Document("x")), AsyncIterator[Response])
assert_type(later.index(["x"]), AsyncIterator[Response])
assert_type(Flow().post("/", return_results=True), list[Response])
assert_type(Flow().update([], return_results=True), list[Response])
assert_type(AsyncFlow().post("/", Document("x")), AsyncIterator[Response])
assert_type(AsyncFlow().add().search("x"), AsyncIterator[Response])
assert_type(Document("x", tags={"a": 1}), Document)


def takes(client: Client, document: Document) -> str | None:
    return document.text


takes(client, Document(id=1))
"""
WRONG = {
    'Document(txt="x")': 'Unexpected keyword argument "txt"',
    'Client(port=1).post("/", request_sise=5)': "No overload variant",
    'Client(port=1).post("/").docs': '"None" has no attribute "docs"',
    "Client(port=1, asyncio=1)": "No overload variant",
}


def checked(folder: pathlib.Path, program: str) -> subprocess.CompletedProcess[str]:
    """What ``mypy --strict`` says of *program*."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", f"--config-file={ROOT / 'pyproject.toml'}", "program.py"]
    cache = f"--cache-dir={ROOT / '.mypy_cache'}"
    return subprocess.run([*command, cache], cwd=folder, capture_output=True, text=True, timeout=110, check=False)


def test_programs(tmp_path: pathlib.Path) -> None:
    """The first example of the README, and one of each call: ``mypy --strict`` finds nothing in them."""
    first = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert first is not None
    for program in (first[1], PROGRAM):
        done = checked(tmp_path, program)
        assert done.returncode == 0, done.stdout + done.stderr


def test_mistakes(tmp_path: pathlib.Path) -> None:
    """It finds what is misspelt."""
    lines = "\n".join(WRONG)
    done = checked(tmp_path, f"from twisted_flow import Client, Document\n{lines}\n")
    for number, message in enumerate(WRONG.values(), 2):
        assert re.search(rf"program\.py:{number}: error: {message}", done.stdout), done.stdout


def test_signature() -> None:
    """What ``inspect`` and editors show of `Document`: one content or a dict, and all fields by keyword."""
    signature = inspect.signature(Document)
    source, *fields = signature.parameters.values()
    assert (source.name, source.kind) == ("source", source.POSITIONAL_ONLY)
    assert {each.kind for each in fields} == {source.KEYWORD_ONLY}
    assert {"id", "text", "content", "tags", "embedding"} <= signature.parameters.keys()
    signature.bind("hello", tags={})
