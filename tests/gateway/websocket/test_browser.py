"""A page in a real browser talks WebSocket, and reports to the test what it saw."""

from __future__ import annotations

import http.server
import pathlib
import queue
import subprocess
import threading
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support import TIMEOUT, browser, serving

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script>
const socket = new WebSocket("ws://127.0.0.1:%d/", "json");
const say = text => fetch("/say/" + encodeURIComponent(text));
socket.onopen = () => socket.send(JSON.stringify({data: ["grüße from a page"], execEndpoint: "/x"}));
socket.onmessage = message => say("answered: " + JSON.parse(message.data).data.docs[0].text);
socket.onerror = () => say("refused");
</script>"""


@pytest.mark.parametrize(
    ("cors", "says"), [(["--cors"], "answered: grüße from a page"), ([], "refused")], ids=["open", "closed"]
)
def test_page(tmp_path: pathlib.Path, cors: list[str], says: str) -> None:
    """A page of another origin gets its answer where it may ask, and nothing where it may not."""
    said: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (PAGE % port).encode()
            if self.path.startswith("/say/"):
                said.put(unquote(self.path.removeprefix("/say/")))
                body = b""
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with serving("--protocol=websocket", *cors, cwd=tmp_path) as server:
        port = server.port  # type: ignore[attr-defined]
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
            threading.Thread(target=pages.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{pages.server_port}/"
            chromium = subprocess.Popen(
                browser(tmp_path, "--remote-debugging-port=0", url),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                assert said.get(timeout=2 * TIMEOUT) == says
            finally:
                chromium.terminate()
                chromium.wait(TIMEOUT)
                pages.shutdown()
