"""The package as a new user gets it: a wheel, a fresh environment, another directory."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import urllib.request
import venv
import zipfile

from tests.support import HELLO, ROOT, TIMEOUT, Server


def test_wheel(tmp_path: pathlib.Path) -> None:
    """The wheel holds the plugin and the pages; installed alone, ``twistd flow`` works from any directory."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(pip, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in ("twisted/plugins/twisted_flow_plugin.py", "twisted_flow/py.typed"):
        assert needed in names
    assert "twisted_flow/gateway/http/static/swagger.html" in names
    assert not [
        name for name in names if name.startswith(("tests", "examples")) or name == "twisted/plugins/__init__.py"
    ]

    environment = tmp_path / "fresh"
    venv.create(environment, with_pip=True)
    install = [environment / "bin/pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, timeout=300, stderr=subprocess.DEVNULL)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    server = Server("--host=127.0.0.1", cwd=elsewhere, twistd=environment / "bin/twistd")
    try:
        port = server.wait_until_ready()
        body = json.dumps(HELLO).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/post", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
            assert json.load(answer)["data"]["docs"][0]["text"] == "hello"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=TIMEOUT) as answer:
            assert answer.status == 200
    finally:
        server.stop()


def test_map() -> None:
    """Every path that CONTRIBUTING's map and README name is there."""
    for page in ("CONTRIBUTING.md", "README.md"):
        for word in (ROOT / page).read_text().split("`"):
            path = word.rstrip("/")
            if (
                "/" in path
                and " " not in path
                and path.startswith(("twisted_flow", "tests", "docs", "benchmarks", "examples"))
            ):
                assert (ROOT / path).exists(), path
