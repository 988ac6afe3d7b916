"""What TLS, tokens and the access log cost: the same small request over HTTP, one server after another, in turn.

    python benchmarks/production.py [--peers=VENV] [--rounds=3] [--seconds=2]

Servers run on core 0, wrk on core 1. With ``--peers``, a venv with fastapi, uvicorn and uvloop, FastAPI is measured
beside ours, with TLS and without. Requests a second are medians; ratios are of the same run.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

EXECUTOR = """
from twisted_flow import Executor, requests

class Upper(Executor):
    @requests(on="/upper")
    async def upper(self, docs):
        for doc in docs:
            doc.text = doc.text.upper()
"""
PEER = """
from fastapi import FastAPI
from pydantic import BaseModel

class Document(BaseModel):
    text: str

class Body(BaseModel):
    data: list[Document]

app = FastAPI()

@app.post("/upper")
async def upper(body: Body) -> Body:
    for each in body.data:
        each.text = each.text.upper()
    return body
"""
LOAD = """
wrk.method = "POST"
wrk.body = '{"data":[{"text":"hello"}]}'
wrk.headers["Content-Type"] = "application/json"
local token = os.getenv("TOKEN")
if token and token ~= "" then wrk.headers["Authorization"] = "Bearer " .. token end
"""
CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem "
    "-days 2 -subj /CN=localhost"
)


class Case(NamedTuple):
    """One server, and how it is asked."""

    name: str
    command: list[str]
    scheme: str = "http"
    token: str = ""


def cases(folder: pathlib.Path, peers: str | None) -> list[Case]:
    """All of them; the first is what the others are held against."""
    twistd = str(pathlib.Path(sys.executable).with_name("twistd"))
    ours = [twistd, "-n", "--pidfile=", "flow", "--protocol=http", "--host=127.0.0.1", "--uses=upper.py:Upper"]
    ours += ["--expose-endpoint=/upper", "--port={port}"]
    made = subprocess.run([twistd, "flow", "--new-token=ann"], capture_output=True, text=True, check=True)
    token, line = made.stdout.split()
    (folder / "tokens").write_text(line)
    tls = ["--tls-cert=cert.pem", "--tls-key=key.pem"]
    found = [
        Case("plain", ours),
        Case("an Authorization field that nobody asks for", ours, token=token),
        Case("tokens", [*ours, "--tokens=tokens"], token=token),
        Case("access log, text", [*ours, "--access-log=access.log"]),
        Case("access log, JSON", [*ours, "--access-log=access.json", "--access-log-format=json"]),
        Case("TLS", [*ours, *tls], "https"),
    ]
    if peers is not None:
        uvicorn = [f"{peers}/bin/uvicorn", "peer:app", "--port={port}", "--log-level=error", "--no-access-log"]
        uvicorn += ["--loop=uvloop", "--http=httptools"]
        found += [
            Case("FastAPI", uvicorn),
            Case("FastAPI, TLS", [*uvicorn, "--ssl-certfile=cert.pem", "--ssl-keyfile=key.pem"], "https"),
        ]
    return found


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rate(case: Case, port: int, seconds: int, folder: pathlib.Path) -> float:
    """Requests a second that wrk gets answered."""
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{seconds}s", "-s", "load.lua"]
    done = subprocess.run(
        [*command, f"{case.scheme}://127.0.0.1:{port}/upper"],
        cwd=folder, capture_output=True, text=True, check=True, env={**os.environ, "TOKEN": case.token},
    )  # fmt: skip
    if "Non-2xx" in done.stdout:
        sys.exit(f"{case.name}: {done.stdout}")
    found = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1])


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser()
    options.add_argument("--peers")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=2)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, text in (("upper.py", EXECUTOR), ("peer.py", PEER), ("load.lua", LOAD)):
            (folder / file).write_text(text)
        subprocess.run(CERTIFICATE.split(), cwd=folder, check=True, capture_output=True)
        running = []
        for case in cases(folder, given.peers):
            port = free_port()
            command = ["taskset", "-c", "0", *(part.replace("{port}", str(port)) for part in case.command)]
            quiet = subprocess.DEVNULL
            running.append((case, port, subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet)))
        try:
            time.sleep(6)
            rates: dict[str, list[float]] = {case.name: [] for case, _, _ in running}
            for _ in range(given.rounds):
                for case, port, _ in running:
                    rates[case.name].append(rate(case, port, given.seconds, folder))
            first = statistics.median(rates["plain"])
            for each, found in rates.items():
                middle = statistics.median(found)
                print(f"{each:45} {middle:10,.0f}/s  {middle / first:5.2f}  {1e6 / middle - 1e6 / first:+6.1f} µs")
        finally:
            for _, _, process in running:
                process.terminate()
                process.wait(10)


if __name__ == "__main__":
    main()
