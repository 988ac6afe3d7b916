"""A headless browser that is asked what a page shows, in real time, over the Chrome DevTools Protocol."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.support import TIMEOUT, browser
from tests.websockets import frame

_PORT_FILE = "browser/DevToolsActivePort"


class Page:
    """The one page of a browser."""

    def __init__(self, url: str) -> None:
        host, _, path = url.removeprefix("ws://").partition("/")
        name, _, port = host.partition(":")
        self.socket = socket.create_connection((name, int(port)), TIMEOUT)
        self.file = self.socket.makefile("rb")
        lines = [f"GET /{path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        while self.file.readline() != b"\r\n":
            pass
        self.number = 0

    def ask(self, method: str, **parameters: Any) -> Any:
        """The result of a command of that protocol."""
        self.number += 1
        self.socket.sendall(frame(json.dumps({"id": self.number, "method": method, "params": parameters}).encode()))
        while True:
            size = self.file.read(2)[1]
            if size > 125:
                size = struct.unpack("!H" if size == 126 else "!Q", self.file.read(2 if size == 126 else 8))[0]
            told = json.loads(self.file.read(size))
            if told.get("id") == self.number:
                assert "error" not in told, told
                return told["result"]

    def evaluate(self, script: str) -> Any:
        """What *script* comes to in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise ValueError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The same, once it comes to something that is true."""
        due, found = time.monotonic() + TIMEOUT, None
        while not found:
            assert time.monotonic() < due, f"{script} never came true"
            with contextlib.suppress(ValueError):  # the page is not there yet
                found = self.evaluate(script)
        return found


@contextlib.contextmanager
def page_at(url: str, folder: pathlib.Path) -> Iterator[Page]:
    """A browser that shows *url*."""
    command = browser(folder, "--remote-debugging-port=0", url)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield Page(_address(folder / _PORT_FILE, process))
        finally:
            process.kill()


def _address(file: pathlib.Path, process: subprocess.Popen[Any]) -> str:
    due = time.monotonic() + 3 * TIMEOUT
    while True:
        assert process.poll() is None, "the browser has ended"
        assert time.monotonic() < due, "the browser never came up"
        with contextlib.suppress(OSError, ValueError):
            port = int(file.read_text().split("\n")[0])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=TIMEOUT) as listed:
                pages = [each for each in json.load(listed) if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
