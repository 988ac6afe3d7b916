"""The page "In production": each of its commands is run, in their order; and the Dockerfile says what it should."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress

from tests.support import ROOT, TIMEOUT, free_port
from twisted_flow import Credentials

PAGE = (ROOT / "docs/production.md").read_text()
FROM_README = re.search(r"```python\n# shout.py\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_each_command(tmp_path: pathlib.Path) -> None:
    assert FROM_README is not None
    (tmp_path / "shout.py").write_text(FROM_README[1])
    ports = {"12345": str(free_port()), "9100": str(free_port())}
    bin_folder = pathlib.Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    said: dict[str, str] = {}
    try:
        for command in commands():
            ours = command
            for given, free in ports.items():
                ours = ours.replace(given, free)
            done = subprocess.run(
                ["bash", "-c", ours], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=2 * TIMEOUT
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            said[command] = done.stdout
    finally:
        with suppress(OSError, ValueError):
            os.kill(int((tmp_path / "flow.pid").read_text()), signal.SIGKILL)

    def told(part: str) -> list[str]:
        return [text for command, text in said.items() if part in command]

    assert '"HELLO"' in told("12345/shout")[0]
    assert [text.strip() for text in told("%{http_code}")] == ["401", "401"]
    assert "['HELLO']" in told("Client(")[0]
    assert 'endpoint="/shout",protocol="grpc",status="ok"} 1.0' in told("/metrics")[0]
    lines = [json.loads(line) for line in told("cat access.log")[0].splitlines()]
    assert [(each["protocol"], each["principal"], each["status"]) for each in lines if each["endpoint"] == "/shout"] == [
        ("http", "ann", "ok"), ("grpc", "ann", "ok")
    ]  # fmt: skip
    assert "max_body: 1000000  # environment TWISTED_FLOW_MAX_BODY" in told("--print-config")[0]
    assert re.search(r"stopped in .* s: \d+ requests answered", told("tail -3")[0])


def test_its_authenticator() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)
    assert names["by_key"](Credentials(protocol="http", token="open sesame")) == "ali"  # type: ignore[operator]


def test_the_dockerfile(tmp_path: pathlib.Path) -> None:
    """It is not root's, asks after its health by --ping, and its command and environment make a flow."""
    text = re.sub(r"\\\n", " ", (ROOT / "contrib/docker/Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("FROM python:") and lines[0].endswith("-slim")  # noqa: PT018
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and users[-1] != "root"  # noqa: PT018
    (health,) = [json.loads(line[line.index("[") :]) for line in lines if line.startswith("HEALTHCHECK")]
    assert health[:2] == ["twistd", "flow"]
    (command,) = [json.loads(line[4:]) for line in lines if line.startswith("CMD ")]
    port = free_port()
    said = [each.replace("12345", str(port)) for each in command]
    environment = dict(
        part.split("=", 1) for line in lines if line.startswith("ENV ") for part in shlex.split(line[4:])
    )
    (tmp_path / "executors.py").write_text("from twisted_flow import Executor\nclass MyExecutor(Executor): pass\n")
    bin_folder = pathlib.Path(sys.executable).parent
    own = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", **environment}
    with subprocess.Popen(
        said, cwd=tmp_path, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout is not None
            while "Flow is ready" not in server.stdout.readline():
                pass
            ping = [each.replace("12345", str(port)) for each in health]
            assert subprocess.run(ping, cwd=tmp_path, env=own, timeout=TIMEOUT, check=False).returncode == 0
        finally:
            server.terminate()
            server.communicate(timeout=TIMEOUT)
