"""What a fork, a join and a chain cost beside one executor: small requests a second over HTTP, in turn (needs wrk)."""

from __future__ import annotations

import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS, SECONDS, FIRST_PORT = 5, 2, 28571
UPPER = pathlib.Path(__file__).with_name("upper.py")
NEEDS: dict[str, dict[str, str]] = {
    "one": {"a": "gateway"},
    "chain of two": {"a": "gateway", "b": "a"},
    "chain of five": {"a": "gateway", "b": "a", "c": "b", "d": "c", "e": "d"},
    "fork of two, joined at the end": {"a": "gateway", "b": "gateway"},
    "fork of two, and one behind the join": {"a": "gateway", "b": "gateway", "c": "[a, b]"},
    "fork of five": dict.fromkeys("abcde", "gateway"),
}
LUA = """
wrk.method = "POST"
wrk.body = '{"data": [{"text": "hello world"}], "execEndpoint": "/index"}'
wrk.headers["Content-Type"] = "application/json"
"""


def flow(needs: dict[str, str]) -> str:
    """The flow with executors that need each other so."""
    entries = "".join(f'  - {{name: {name}, uses: "{UPPER}:Upper", needs: {its}}}\n' for name, its in needs.items())
    return f"jtype: Flow\nwith: {{protocol: http, host: 127.0.0.1}}\nexecutors:\n{entries}"


def rate(port: int, script: pathlib.Path) -> float:
    """Requests a second."""
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c32", f"-d{SECONDS}", "-s", str(script)]
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/post"], capture_output=True, text=True, check=True
    ).stdout
    assert "Non-2xx" not in said, said
    return float(re.findall(r"Requests/sec:\s*([\d.]+)", said)[0])


def main() -> None:
    """Serve all of them on the first core, and ask them in turn from the second."""
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    servers = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "post.lua").write_text(LUA)
        try:
            for place, needs in enumerate(NEEDS.values()):
                (folder / f"{place}.yml").write_text(flow(needs))
                command = ["taskset", "-c", "0", str(twistd), "-n", "--pidfile=", "--logfile=/dev/null", "flow"]
                options = [f"--config={folder}/{place}.yml", f"--port={FIRST_PORT + place}"]
                servers.append(subprocess.Popen([*command, *options]))
            time.sleep(6)
            ports = {kind: FIRST_PORT + place for place, kind in enumerate(NEEDS)}
            rates: dict[str, list[float]] = {kind: [] for kind in ports}
            for _ in range(ROUNDS):
                for kind, port in ports.items():
                    rates[kind].append(rate(port, folder / "post.lua"))
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait()
    for kind, its in rates.items():
        ratio = statistics.median(mine / one for mine, one in zip(its, rates["one"], strict=True))
        print(f"{statistics.median(its):8.0f}/s {ratio:5.2f} x  {kind}")


if __name__ == "__main__":
    main()
