"""The main job in one command: serve the search, fill it, and stay: ``python demo.py [PORT]``."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent


def ready(port: int) -> bool:
    """Whether the server answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def main() -> int:
    """Run the server as a child; its exit status is ours."""
    port = sys.argv[1] if len(sys.argv) > 1 else "12345"
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    protocols = ["--protocol=http", "--protocol=websocket", "--protocol=grpc"]
    command = [str(twistd), "-n", "--pidfile=", "flow", *protocols, f"--port={port}", "--title=Search"]
    server = subprocess.Popen([*command, f"--uses={HERE / 'search.py'}:Search", "--expose-endpoint=/count"])
    try:
        while server.poll() is None and not ready(int(port)):
            time.sleep(0.1)
        if server.poll() is None:
            subprocess.run([sys.executable, HERE / "fill.py", port], check=True)
        return server.wait()
    except KeyboardInterrupt:
        return server.wait()
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
