"""The house: what may import what, and what importing may not do."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys

import pytest

from tests.support import ROOT

ROOMS = [
    ["version", "suggestion"],
    ["old_names", "limits", "errors", "maybe", "generation"],
    ["telemetry", "wire"],
    ["document"],
    ["parts", "feed", "pump"],
    ["message"],
    ["outcome"],
    ["interfaces", "plugin"],
    ["security", "readiness"],
    ["record"],
    ["protocols"],
    ["codec"],
    ["config"],
    ["executor"],
    ["worker"],
    ["loop"],
    ["process"],
    ["listen"],
    ["entry"],
    ["answer_stream"],
    ["answer"],
    ["channel"],
    ["engine"],
    ["policy"],
    ["graph"],
    ["gateway"],
    ["client"],
    ["assembly", "flow", "async_flow"],
    ["environment", "from_options", "testing"],
    ["tap"],
]
"""Ground floor first: a room may import from those before it, and from its own row."""
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
PACKAGE = ROOT / "twisted_flow"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
ONLY_TWO_WORLDS = {"loop"}


def imported(path: pathlib.Path) -> set[str]:
    """The rooms that the module at *path* imports from, whether at its top or in a function; not for types alone."""
    inside = path.relative_to(PACKAGE.parent).with_suffix("").parts
    package = inside if path.name == "__init__.py" else inside[:-1]
    found = set()
    tree = ast.parse(path.read_text())
    for_types = {id(node) for each in ast.walk(tree) if isinstance(each, ast.If) and "TYPE_CHECKING" in ast.dump(each.test) for node in ast.walk(each)}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            parts = (*base, *(node.module or "").split(".")) if node.module else base
            names = [(*parts, alias.name) for alias in node.names]
            found |= {name[1] for name in names if name[0] == "twisted_flow" and len(name) > 1}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("twisted_flow.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: pathlib.Path) -> None:
    """A room imports only from the rooms below it."""
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room == "__init__":
        return
    for other in imported(path):
        assert LEVEL[other] <= LEVEL[room], f"{room} imports {other}"


def test_two_worlds_meet_in_one_room() -> None:
    """Only `loop` knows asyncio; and `worker`, which has no Twisted beside it (see test_process)."""
    for path in MODULES:
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        modules = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        if room not in ONLY_TWO_WORLDS | {"worker"}:
            assert not {"asyncio", "uvloop"} & modules, path


def test_tests_import_no_tests() -> None:
    """What several tests need stands in a module of its own."""
    for path in (ROOT / "tests").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not re.match(r"\s*from tests\.([a-z_]+\.)*test_", line), f"{path}: {line}"


def test_sizes() -> None:
    """No module is over 300 lines with its docstrings, and no function over 50 without its own."""
    for path in MODULES:
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                size = (body[-1].end_lineno or 0) - body[0].lineno if body else 0
                assert size <= 50, f"{path}:{node.name} {size}"


def run(code: str) -> str:
    """What *code* prints in a fresh process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


def test_importing_does_nothing() -> None:
    """Neither the package nor the plugin's module brings the reactor, grpc or Klein, prints, or starts a thread."""
    heavy = "{'twisted.internet.reactor', 'klein', 'grpc', 'autobahn', 'google.protobuf', 'uvloop', 'yaml'}"
    code = f"""
import sys, threading
from twisted_flow import *
import twisted_flow.tap, twisted_flow.engine.thread
import twisted.plugins.twisted_flow_plugin
print(sorted({heavy} & sys.modules.keys()), threading.active_count())
"""
    assert run(code) == "[] 1\n"


def test_public_names_load_when_used() -> None:
    """The bare package imports none of its modules."""
    code = "import sys, twisted_flow; print(sorted(m for m in sys.modules if m.startswith('twisted_flow')))"
    assert run(code) == "['twisted_flow', 'twisted_flow.version']\n"


def test_every_provider_says_what_it_provides() -> None:
    """Who is marked as a provider of one of our interfaces implements all of it."""
    from zope.interface import implementedBy
    from zope.interface.verify import verifyClass

    from twisted_flow import interfaces
    from twisted_flow.engine.inline import InlineEngineMaker
    from twisted_flow.engine.thread import ThreadEngineMaker
    from twisted_flow.executor import component
    from twisted_flow.gateway.grpc.gateway import GRPCGateway
    from twisted_flow.gateway.http.gateway import HTTPGateway
    from twisted_flow.graph.dispatch import FlowDispatcher
    from twisted_flow.policy.admission import Admission
    from twisted_flow.policy.deadline import Deadline
    from twisted_flow.policy.retry import Retry

    providers = [InlineEngineMaker, ThreadEngineMaker, HTTPGateway, GRPCGateway, FlowDispatcher]
    providers += [Admission, Deadline, Retry]
    providers += [component.ClassExecutor, component.ObjectExecutor, component.FunctionExecutor]
    for provider in providers:
        ours = [each for each in implementedBy(provider) if each.__module__ == interfaces.__name__]
        assert ours, provider
        for interface in ours:
            verifyClass(interface, provider, tentative=True)


def test_types_are_said() -> None:
    """``Any`` stands fewer than 15 times in 1,000 lines: where nothing is known, ``object`` says so and is checked."""
    lines = [line for path in MODULES for line in path.read_text().splitlines()]
    times = sum(len(re.findall(r"\bAny\b", line)) for line in lines if "import" not in line)
    assert times * 1000 < 15 * len(lines), times
