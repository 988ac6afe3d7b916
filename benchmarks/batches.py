"""Batches, overload and remote flows, side by side: servers on one core, the load on another.

    python benchmarks/batches.py batches [--peers=PYTHON] [--rounds=3]   # PYTHON has litserve and mosec
    python benchmarks/batches.py overload [--rounds=3]
    python benchmarks/batches.py hop [--rounds=3]

batches: a model of 10 ms a call, whatever the number of documents up to 64, and 256 clients: 6,400 documents a second
are ideal. overload: twice the rate that an executor takes. hop: what a flow in front of another one costs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

HERE = pathlib.Path(__file__).resolve().parent
TWISTD = pathlib.Path(sys.executable).with_name("twistd")
BODY = '{"data": [{"text": "hello world"}], "execEndpoint": "/index"}'
IDEAL, SECONDS, SLOW = 6400, 5, 0.005

SLOW_MODEL = f"""
import time
from twisted_flow import Executor, requests

class Slow(Executor):
    @requests
    def predict(self, docs):
        time.sleep({SLOW})

class Nothing(Executor):
    @requests
    async def nothing(self, docs):
        pass
"""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server(*command: object, port: int, core: int | None = 0) -> Iterator[int]:
    """A server on *core*, until the end; its process id."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    process = subprocess.Popen(
        [*pinned, *map(str, command)], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        time.sleep(1)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def flow(port: int, *options: object) -> list[object]:
    """The command of a flow over HTTP."""
    return [TWISTD, "-n", "--pidfile=", "flow", "--protocol=http", "--host=127.0.0.1", f"--port={port}", *options]


def wrk(port: int, clients: int, folder: pathlib.Path) -> tuple[float, str]:
    """Requests a second, and the latencies' median and 99th percentile."""
    script = folder / "post.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = '{BODY}'\nwrk.headers['Content-Type'] = 'application/json'\n")
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{clients}", f"-d{SECONDS}", "--latency", "-s", str(script)]
    out = subprocess.run([*command, f"http://127.0.0.1:{port}/post"], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    found = [re.search(rf"{name}\s+([\d.]+\w+)", out) for name in ("50%", "99%", "Requests/sec:")]
    p50, p99, rate = (each[1] if each else "?" for each in found)
    return float(re.sub(r"[^\d.]", "", rate)), f"p50 {p50}, p99 {p99}"


def batches(rounds: int, peers: str | None, folder: pathlib.Path) -> None:
    """Documents a second of each server, in turn."""
    model = f"--uses={HERE}/ten_ms.py:TenMilliseconds"
    rows: dict[str, Callable[[int], list[object]]] = {
        "ours, a thread": lambda port: flow(port, model),
        "ours, a process": lambda port: flow(port, model, "--engine=process"),
    }
    if peers:
        rows["LitServe"] = lambda port: [peers, HERE / "peers/ten_ms_litserve.py", port]
        mosec = HERE / "peers/ten_ms_mosec.py"
        rows["mosec"] = lambda port: [peers, mosec, "--address", "127.0.0.1", "--port", port, "--log-level", "error"]
    rates: dict[str, list[float]] = {name: [] for name in rows}
    told: dict[str, str] = {}
    for _ in range(rounds):
        for name, command in rows.items():
            port = free_port()
            with server(*command(port), port=port):
                wrk(port, 256, folder)  # once to warm up
                rate, told[name] = wrk(port, 256, folder)
                rates[name].append(rate)
    for name, found in rates.items():
        middle = statistics.median(found)
        span = f"{min(found):.0f} to {max(found):.0f}"
        print(f"{name:16} {middle:6.0f} documents/s ({span}), {middle / IDEAL:.3f} of the ideal; {told[name]}")


async def arriving(port: int, rate: float, seconds: float, headers: str) -> list[tuple[int, float]]:
    """Requests that come as they come (Poisson) whether or not earlier ones are answered: statuses, and seconds."""
    raw = f"POST /post HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
    sent = f"{raw}Content-Length: {len(BODY)}\r\n\r\n{BODY}".encode()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    found: list[tuple[int, float]] = []

    async def one() -> None:
        began = time.perf_counter()
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        found.append((int(head.split(b" ", 2)[1]), time.perf_counter() - began))
        idle.append((reader, writer))

    chance, begin, due = random.Random(1), time.perf_counter(), 0.0
    tasks = []
    while due < seconds:
        await asyncio.sleep(max(begin + due - time.perf_counter(), 0))
        tasks.append(asyncio.ensure_future(one()))
        due += chance.expovariate(rate)
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return found


def overload(rounds: int, folder: pathlib.Path) -> None:
    """Twice the rate that one thread takes: who is answered, who is refused, how long those wait that are answered."""
    (folder / "model.py").write_text(SLOW_MODEL)
    os.sched_setaffinity(0, {1})
    for name, options, headers in (
        ("a queue of 1,024 (the default)", [], ""),
        ("a queue of 32", ["--max-queue=32"], ""),
        ("the default, 0.5 s for each", [], "X-Request-Timeout: 0.5\r\n"),
    ):
        for _ in range(rounds):
            port = free_port()
            with server(*flow(port, f"--uses={folder}/model.py:Slow", *options), port=port):
                found = asyncio.run(arriving(port, 2 / SLOW, 8, headers))
            millis = sorted(seconds * 1e3 for status, seconds in found if status == 200)
            statuses = {status: sum(each == status for each, _ in found) for status in sorted(dict(found))}
            p50, p99 = millis[len(millis) // 2], millis[len(millis) * 99 // 100]
            print(f"{name:32} {statuses}, answered: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


def cpu(pid: int) -> float:
    """Seconds of a core that the process has taken."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hop(rounds: int, folder: pathlib.Path) -> None:
    """One client, and 32, of a flow that does nothing: alone, and behind another one over each protocol."""
    (folder / "model.py").write_text(SLOW_MODEL)
    for clients in (1, 32):
        for scheme, protocol in ((None, None), ("grpc", "grpc"), ("ws", "websocket"), ("http", "http")):
            for _ in range(rounds):
                near, far = free_port(), free_port()
                model = f"--uses={folder}/model.py:Nothing"
                with contextlib.ExitStack() as stack:
                    if scheme is None:
                        pids = [stack.enter_context(server(*flow(near, model), port=near))]
                    else:
                        command = flow(far, model)
                        command[4] = f"--protocol={protocol}"
                        (folder / "flow.yml").write_text(
                            f"jtype: Flow\nexecutors:\n  - name: far\n    host: {scheme}://127.0.0.1:{far}\n"
                        )
                        there = stack.enter_context(server(*command, port=far))
                        here = stack.enter_context(server(*flow(near, f"--config={folder}/flow.yml"), port=near))
                        pids = [here, there]
                    wrk(near, clients, folder)
                    before = [cpu(pid) for pid in pids]
                    rate, told = wrk(near, clients, folder)
                    micros = [
                        (cpu(pid) - taken) / (rate * SECONDS) * 1e6 for pid, taken in zip(pids, before, strict=True)
                    ]
                    spent = ", ".join(f"{each:.0f}" for each in micros)
                    print(
                        f"{clients:3} clients, {scheme or 'alone':6} {rate:6.0f}/s, {told}; CPU µs a request: {spent}"
                    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["batches", "overload", "hop"])
    parser.add_argument("--peers")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if asked.what == "batches":
            batches(asked.rounds, asked.peers, folder)
        else:
            {"overload": overload, "hop": hop}[asked.what](asked.rounds, folder)


if __name__ == "__main__":
    main()
