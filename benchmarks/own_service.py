"""What gRPC costs beside a call: ``relay``, a user's service behind the lane and with grpcio in front; ``memory``, idle
and with a thousand connections. The server is on the first core, h2load (Debian's nghttp2-client) on the second.
"""

from __future__ import annotations

import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

import grpc

from twisted_flow.wire.http2.codes import ACK, PREFACE, SETTINGS
from twisted_flow.wire.http2.frames import frame

PORT, ROUNDS, SECONDS = 28571, 3, 2
SERVERS = ("lane", "grpcio")
CONNECTIONS = 1000


class Echo:
    """Adds the service to a server."""

    def __call__(self, server: Any) -> None:
        async def echo(body: bytes, context: object) -> bytes:
            return body

        methods = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("own.Own", methods),))


def serve(server: str, port: int, *options: str) -> subprocess.Popen[bytes]:
    """A flow on the first core."""
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    command = ["taskset", "-c", "0", str(twistd), "-n", "--pidfile=", "--logfile=/dev/null", "flow"]
    process = subprocess.Popen(
        [*command, "--protocol=grpc", f"--grpc={server}", "--host=127.0.0.1", f"--port={port}", *options]
    )
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            break
    time.sleep(1)
    return process


def load(port: int, connections: int, streams: int) -> tuple[float, float]:
    """Calls a second, and the mean microseconds of one."""
    with tempfile.NamedTemporaryFile() as message:
        message.write(b"\0\0\0\0\x20" + bytes(32))
        message.flush()
        command = ["taskset", "-c", "1", "h2load", "-t1", f"-c{connections}", f"-m{streams}", f"--duration={SECONDS}"]
        command += ["-d", message.name, "-H", "content-type: application/grpc", "-H", "te: trailers"]
        url = f"http://127.0.0.1:{port}/own.Own/Echo"
        report = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", report)
    assert rate is not None, report
    assert " 0 failed, 0 errored" in report, report
    return float(rate[1]), 1e6 * connections * streams / float(rate[1])


def relay() -> None:
    """A user's service, behind the lane and with grpcio in front, in turn."""
    here = f"--grpc-services={pathlib.Path(__file__).resolve()}:Echo"
    servers = {server: serve(server, PORT + place, here) for place, server in enumerate(SERVERS)}
    try:
        for connections, streams in ((1, 1), (4, 16)):
            for _ in range(ROUNDS):
                for place, server in enumerate(SERVERS):
                    rate, micros = load(PORT + place, connections, streams)
                    print(f"{server:7} {connections} × {streams:2} {rate:8.0f} calls/s, {micros:6.0f} µs each")
    finally:
        for process in servers.values():
            process.terminate()
            process.wait()


def resident(process: subprocess.Popen[bytes]) -> float:
    """MiB."""
    return int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / 2**20


def memory() -> None:
    """Idle, and with connections that have said hello."""
    for place, server in enumerate(SERVERS):
        process = serve(server, PORT + place)
        try:
            idle = resident(process)
            clients = [socket.create_connection(("127.0.0.1", PORT + place)) for _ in range(CONNECTIONS)]
            for client in clients:
                client.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
            time.sleep(2)
            held = resident(process)
            print(
                f"{server:7} idle {idle:5.1f} MiB, {CONNECTIONS} connections {held:5.1f} MiB, "
                f"{1024 * (held - idle) / CONNECTIONS:.1f} KiB each"
            )
            for client in clients:
                client.close()
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    {"relay": relay, "memory": memory}[sys.argv[1]]()
