"""Our client against our server, each on a core of its own: small documents a second, on each protocol."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

from twisted_flow import Client, Document

ROUNDS, SECONDS = 3, 2.0
EXECUTOR = pathlib.Path(__file__).with_name("upper.py")
PROTOCOLS = {"http": 28561, "websocket": 28562, "grpc": 28563}
SIZES = (1, 100)


def rate(client: Client, size: int) -> float:
    """Documents a second, in requests of *size*; the number of them doubles until it takes long enough."""
    count = 100 * size
    while True:
        began = time.perf_counter()
        client.post("/index", (Document(text="hello world") for _ in range(count)), request_size=size)
        took = time.perf_counter() - began
        if took > SECONDS:
            return count / took
        count *= 2


def main() -> None:
    """Serve on the first core, ask from the second."""
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    options = [f"--protocol={protocol}" for protocol in PROTOCOLS] + [f"--port={port}" for port in PROTOCOLS.values()]
    command = ["taskset", "-c", "0", str(twistd), "-n", "--pidfile=", "--logfile=/dev/null", "flow"]
    server = subprocess.Popen([*command, "--host=127.0.0.1", f"--uses={EXECUTOR}:Upper", *options])
    os.sched_setaffinity(0, {1})
    try:
        time.sleep(3)
        for protocol, port in PROTOCOLS.items():
            client = Client(protocol=protocol, port=port)
            for size in SIZES:
                best = max(rate(client, size) for _ in range(ROUNDS))
                print(f"{protocol:10} request_size={size:<4} {best:8.0f} documents/s", flush=True)
            client.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
