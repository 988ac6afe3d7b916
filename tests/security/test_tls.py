"""``--listen=ssl:…``: over real sockets, with clients of all kinds, and a stop. (The key beside this is nobody's.)"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import socket
import ssl
import time

import httpx
import pytest
import websockets

from tests.support import HELLO, TIMEOUT, Server, post
from twisted_flow.errors import ConfigurationError
from twisted_flow.listen.addresses import described_address

FOLDER = pathlib.Path(__file__).parent
ENDPOINT = f"ssl:0:privateKey={FOLDER}/key.pem:certKey={FOLDER}/cert.pem:interface=127.0.0.1"


def context(*protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(FOLDER / "cert.pem"))
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def test_all_clients(tmp_path: pathlib.Path) -> None:
    """HTTP with and without ALPN, on both ways through the gateway, WebSockets; and the server ends when it is told to."""
    server = Server(f"--listen={ENDPOINT}", "--protocol=http", "--protocol=websocket", "--drain-grace=2", cwd=tmp_path)
    port = server.wait_until_ready()
    url = f"127.0.0.1:{port}"
    for protocols in ((), ("http/1.1",), ("h2", "http/1.1")):
        for extra in ((), ("X-Own: 1",)):
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as raw:
                with context(*protocols).wrap_socket(raw, server_hostname="localhost") as client:
                    assert client.selected_alpn_protocol() == ("http/1.1" if protocols else None)
                    client.sendall(post("/post", HELLO | {"execEndpoint": "/x"}, *extra) * 2)
                    said = b""
                    while said.count(b"hello") < 2:
                        said += client.recv(65536)
    with httpx.Client(verify=context(), http2=False) as client:
        for _ in range(2):
            assert client.post(f"https://{url}/search", json={"data": ["a"]}).json()["data"]["docs"][0]["text"] == "a"
        assert (
            client.post(f"https://{url}/search", content=b"{", headers={"content-type": "application/json"}).status_code
            == 400
        )
        assert client.get(f"https://{url}/nope").status_code == 404
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain:  # no TLS at all
        plain.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(100):
                pass

    async def talk() -> None:
        async with websockets.connect(f"wss://{url}/", ssl=context()) as talking:
            await talking.send(json.dumps({"data": ["a"], "execEndpoint": "/x"}))
            assert json.loads(await talking.recv())["data"]["docs"][0]["text"] == "a"
            began = time.monotonic()
            server.process.terminate()
            with pytest.raises(websockets.ConnectionClosed):
                await talking.recv()
            assert time.monotonic() - began < TIMEOUT

    asyncio.run(asyncio.wait_for(talk(), TIMEOUT))
    server.wait()
    assert not any("Traceback" in line for line in server.lines)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("ssl:0:privateKey=/nowhere.pem", "certKey='/nowhere.pem': No such file"),
        ("ssl:x", "it names no port"),
        ("ssl:", "it names no port"),
        ("ssl:0:colour=red", "'colour' is none of"),
        ("ssl:0:red", "'port' is none of"),
        (f"ssl:0:privateKey={FOLDER}/key.pem:certKey={__file__}", "key.pem': no PEM file"),
    ],
)
def test_mistakes(endpoint: str, said: str) -> None:
    """One line each."""
    with pytest.raises(ConfigurationError, match=said) as wrong:
        described_address(endpoint)
    assert "\n" not in str(wrong.value)
