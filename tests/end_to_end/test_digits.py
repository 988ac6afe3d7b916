"""The digits example: a real classifier in two processes."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

from tests.support import ROOT, TIMEOUT, serving

DIGITS = ROOT / "examples/digits"


def test_digits(tmp_path: pathlib.Path) -> None:
    """It takes 95 of 100 unseen scans for what they are; what is no image is an error that says so."""
    with serving(f"--config={DIGITS / 'flow.yml'}", "--port=0", cwd=tmp_path) as server:
        port = str(server.port)  # type: ignore[attr-defined]
        server.wait_for_line(r"Executor digits:\s+process × 2")
        done = subprocess.run(
            [sys.executable, DIGITS / "ask.py", port], capture_output=True, text=True, timeout=TIMEOUT, cwd=tmp_path
        )
        counted = re.fullmatch(r"(\d+) of 360 digits are right\n", done.stdout)
        assert counted, done.stderr
        assert int(counted[1]) >= 0.95 * 360
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=TIMEOUT) as status:
            batches = json.load(status)["engines"]["digits"]["batches"]
        assert batches["documents"] == 360
        assert batches["calls"] < 36  # requests of ten each share calls
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/classify", b'{"data": [{"buffer": "AAAA"}]}', {"Content-Type": "application/json"}
        )
        try:
            urllib.request.urlopen(asked, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            assert error.code == 422
            assert json.load(error)["detail"].startswith("the buffer is no image")
        else:
            raise AssertionError("that was taken")
