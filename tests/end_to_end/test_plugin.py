"""An installed package that brings an executor along."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from zope.interface.verify import verifyObject

from tests.support import TIMEOUT, Server, installed
from twisted_flow import Client
from twisted_flow.interfaces import IExecutorPlugin
from twisted_flow.plugin import ExecutorPlugin

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "plugin"
TWISTD = pathlib.Path(sys.executable).with_name("twistd")


@pytest.fixture(scope="module", name="installed")
def in_an_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the example package is installed."""
    return installed(EXAMPLE, tmp_path_factory.mktemp("plugin"))


def flow(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(TWISTD), "flow", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, cwd="/")


def test_list(installed: dict[str, str]) -> None:
    """``--list`` tells what is there."""
    assert flow(installed, "--list").stdout == "reverse: turns texts around\n"
    without = {**installed, "PYTHONPATH": ""}
    assert flow(without, "--list").stdout == "no installed package brings an executor along\n"


def test_uses(installed: dict[str, str], tmp_path: pathlib.Path) -> None:
    """``--uses=reverse`` serves it."""
    server = Server("--uses=reverse", "--host=127.0.0.1", cwd=tmp_path, env=installed)
    try:
        client = Client(protocol="http", port=server.wait_until_ready())
        assert client.post("/", "abc", return_results=True)[0].docs.texts == ["cba"]
        client.close()
    finally:
        server.stop()


def test_check(installed: dict[str, str]) -> None:
    """A name that nothing is installed under is told, with the nearest one."""
    assert flow(installed, "--uses=reverse", "--check").stdout.splitlines()[0] == "executor0 (needs gateway): /default"
    wrong = flow(installed, "--uses=revers", "--check")
    assert wrong.returncode == 1
    assert "there is no executor 'revers'" in wrong.stderr
    assert "did you mean 'reverse'?" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1


def test_interface() -> None:
    """What a package says provides what is looked for."""
    verifyObject(IExecutorPlugin, ExecutorPlugin("a", object))
