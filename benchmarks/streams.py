"""Answers in parts beside FastAPI's and bare grpc.aio's: the server's CPU time for each part, and how soon the first is
there; and many slow streams at once.

    python benchmarks/streams.py parts --peers=PYTHON [--rounds=3]     # an interpreter with fastapi, uvicorn and orjson
    python benchmarks/streams.py many [--streams=1000] [--seconds=10]

The server has the first core, the load the second. Parts that are ready: 16 streams at once of 1,000 each. A round runs
all rows in turn; the medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

from grpc import aio

from twisted_flow import Document, Executor, requests
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.wire.websocket import frame_head, masked

HERE = pathlib.Path(__file__)
PARTS, STREAMS, FIRSTS = 1000, 16, 200
OURS, OURS_GRPC, THEIRS, THEIRS_GRPC = 28571, 28572, 28573, 28574


class Words(Executor):
    """Parts that are ready at once, or one after each pause."""

    @requests(on="/words")
    async def words(self, parameters: dict[str, Any]) -> AsyncIterator[Document]:
        """As many as are asked for."""
        for number in range(parameters["parts"]):
            if parameters["pause"]:
                await asyncio.sleep(parameters["pause"])
            yield Document(f"word {number}")


Take = Callable[[float], object]
"""Is called with the seconds from the request to each arrival; of several requests, to the first of each."""


def body(parts: int, pause: float, **more: Any) -> bytes:
    """What is asked of ours; FastAPI's looks at the parameters alone."""
    return json.dumps(
        {"data": [], "execEndpoint": "/words", "parameters": {"parts": parts, "pause": pause}, **more}
    ).encode()


async def events(port: int, parts: int, pause: float, take: Take, times: int = 1) -> int:
    """Ask for server-sent events, some times on one connection; return how many came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = body(parts, pause)
    head = "POST /post HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
    raw = f"{head}Content-Length: {len(asked)}\r\n\r\n".encode() + asked
    return await _counted(reader, writer, raw, b"\r\n0\r\n\r\n", take, times)


async def _counted(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes, end: bytes, take: Take, times: int
) -> int:
    """How many parts come before each *end*. (What is cut in two is not counted: the load has to be quick.)"""
    number = 0
    for _ in range(times):
        began, last = time.perf_counter(), b""
        writer.write(raw)
        while end not in last:
            piece = await reader.read(1 << 16)
            if not piece:
                break
            if times == 1 or not last:
                take(time.perf_counter() - began)
            number += piece.count(b'"text":"word')
            last = last[-len(end) :] + piece
    writer.close()
    return number


async def websocket(port: int, parts: int, pause: float, take: Take, times: int = 1) -> int:
    """The same of messages."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = ["GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    writer.write("\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).encode())
    await reader.readuntil(b"\r\n\r\n")
    asked, mask = body(parts, pause, stream=True), b"abcd"
    raw = frame_head(1, len(asked), mask) + masked(asked, mask)
    return await _counted(reader, writer, raw, b'"code":0' if port == OURS else b'"end":true', take, times)


async def grpc_stream(port: int, parts: int, pause: float, take: Take, times: int = 1) -> int:
    """The same of `/twisted_flow.Flow/Stream`."""
    asked = RequestProto(request_id="r", stream=True)
    asked.header.exec_endpoint = "/words"
    asked.parameters.update({"parts": parts, "pause": pause})
    number = 0
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        for _ in range(times):
            began, before = time.perf_counter(), number
            call = channel.unary_stream("/twisted_flow.Flow/Stream")(asked.SerializeToString())
            async for message in call:
                if times == 1 or number == before:
                    take(time.perf_counter() - began)
                number += message.count(b"word ")
    return number


Ask = Callable[..., Awaitable[int]]
ROWS: dict[str, tuple[Ask, int, str]] = {
    "SSE, ours": (events, OURS, "ours"),
    "SSE, FastAPI": (events, THEIRS, "fastapi"),
    "WebSocket, ours": (websocket, OURS, "ours"),
    "WebSocket, FastAPI": (websocket, THEIRS, "fastapi"),
    "gRPC, ours": (grpc_stream, OURS_GRPC, "ours"),
    "gRPC, bare grpc.aio": (grpc_stream, THEIRS_GRPC, "grpc"),
}


def used(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def part_time(ask: Ask, port: int, pid: int, times: int) -> tuple[float, float]:
    """Microseconds of the server for a part, and parts a second, over *times* runs of all streams at once."""
    before, began, number = used(pid), time.perf_counter(), 0
    for _ in range(times):
        came = await asyncio.gather(*(ask(port, PARTS, 0, lambda at: None) for _ in range(STREAMS)))
        assert all(each > 0.95 * PARTS for each in came), came
        number += STREAMS * PARTS
    return (used(pid) - before) / number * 1e6, number / (time.perf_counter() - began)


async def first_time(ask: Ask, port: int) -> float:
    """Microseconds from a request to its first part, the median of many on one connection."""
    firsts: list[float] = []
    await ask(port, 1, 0, firsts.append, FIRSTS)
    return statistics.median(firsts) * 1e6


@contextlib.contextmanager
def served(command: list[str]) -> Iterator[int]:
    """A server on the first core, and its process's number."""
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def ours() -> list[str]:
    """The command of our server."""
    twistd = str(pathlib.Path(sys.executable).with_name("twistd"))
    options = ["--protocol=http", f"--port={OURS}", "--protocol=websocket", f"--port={OURS}"]
    options += ["--protocol=grpc", f"--port={OURS_GRPC}", "--max-streams=100000"]
    return [twistd, "-n", "--pidfile=", "--logfile=/dev/null", "flow", "--host=127.0.0.1", *options,
            f"--uses={HERE}:Words"]  # fmt: skip


def theirs(python: str) -> dict[str, list[str]]:
    """The commands of the others."""
    peers = HERE.parent / "peers"
    uvicorn = [python, "-m", "uvicorn", "streams_fastapi:app", f"--app-dir={peers}", f"--port={THEIRS}"]
    options = ["--loop=uvloop", "--http=httptools", "--ws=websockets", "--no-access-log", "--log-level=critical"]
    return {
        "fastapi": [*uvicorn, *options],
        "grpc": [sys.executable, str(peers / "streams_grpc.py"), str(THEIRS_GRPC)],
    }


async def compare(pids: dict[str, int], rounds: int) -> None:
    """Print a row for each."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ROWS}
    for _ in range(rounds):
        for name, (ask, port, server) in ROWS.items():
            await part_time(ask, port, pids[server], 1)  # warm
            took, rate = await part_time(ask, port, pids[server], 2 if "gRPC" in name else 6)
            found[name].append((took, rate, await first_time(ask, port)))
    print(f"{'':22}{'µs a part':>10}{'parts/s':>10}{'first part, µs':>16}")
    for name, results in found.items():
        took, rate, first = (statistics.median(each) for each in zip(*results, strict=True))
        print(f"{name:22}{took:10.2f}{rate:10,.0f}{first:16.0f}")


async def many(streams: int, seconds: float, pid: int) -> None:
    """Slow streams, all at once: what is lost, or late, and what each takes."""
    pause = 0.05
    parts = int(seconds / pause)
    for name, (ask, port, server) in ROWS.items():
        if server != "ours":
            continue
        resident, before, began = memory(pid), used(pid), time.perf_counter()
        arrivals: list[list[float]] = [[] for _ in range(streams)]
        asked = [asyncio.ensure_future(ask(port, parts, pause, arrivals[n].append)) for n in range(streams)]
        await asyncio.sleep(seconds / 2)
        more = memory(pid) - resident
        came = await asyncio.gather(*asked)
        took = time.perf_counter() - began
        lost = streams * parts - sum(came)
        gaps = sorted(b - a for times in arrivals for a, b in pairwise(times[1:-1]))
        late = sum(gap > 2 * pause for gap in gaps)
        print(
            f"{name:18} {streams} streams of {parts} parts: {lost} lost, {late} of {len(gaps)} gaps above "
            f"{2 * pause:g} s, p50 {1e3 * gaps[len(gaps) // 2]:.1f} ms, p99 {1e3 * gaps[len(gaps) * 99 // 100]:.1f}; "
            f"{more / streams / 1024:.1f} KiB each; {(used(pid) - before) / took:.0%} of a core, "
            f"{took:.1f} s for {seconds:g}"
        )


def memory(pid: int) -> int:
    """Bytes that a process has resident."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["parts", "many"])
    parser.add_argument("--peers", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    with contextlib.ExitStack() as stack:
        pids = {"ours": stack.enter_context(served(ours()))}
        if options.what == "parts":
            for name, command in theirs(options.peers).items():
                pids[name] = stack.enter_context(served(command))
        time.sleep(4)
        if options.what == "parts":
            asyncio.run(compare(pids, options.rounds))
        else:
            asyncio.run(many(options.streams, options.seconds, pids["ours"]))


if __name__ == "__main__":
    main()
