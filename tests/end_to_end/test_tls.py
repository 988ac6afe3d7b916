"""TLS and mutual TLS: one port for all protocols, over real sockets, with our client and with others'."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import grpc
import grpclib.client
import httpx
import pytest
import websockets.sync.client

from tests.certificates import Certificates
from tests.support import TIMEOUT, free_port, post, serving
from twisted_flow import Client, Document, Flow
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.errors import ConfigurationError, Unavailable

ALL = ("--protocol=http", "--protocol=websocket", "--protocol=grpc")
STOPPED = (0, -signal.SIGTERM)
SCHEMES = ("https", "wss", "grpcs")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def port(made: Certificates) -> Iterator[int]:
    with serving(*ALL, *made.options, cwd=made.folder) as server:
        yield server.port  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def mutual(made: Certificates) -> Iterator[int]:
    with serving(*ALL, *made.options, f"--tls-client-ca={made.ca}", cwd=made.folder) as server:
        yield server.port  # type: ignore[attr-defined]


def context(made: Certificates, *alpn: str, shown: tuple[str, str] | None = None) -> ssl.SSLContext:
    found = ssl.create_default_context(cafile=made.ca)
    if alpn:
        found.set_alpn_protocols(list(alpn))
    if shown:
        found.load_cert_chain(*shown)
    return found


def asked(url: str, **options: Any) -> list[str]:
    with Client(url, **options) as client:
        (response,) = client.post("/x", [Document(text="hello")], return_results=True)
    return [doc.text for doc in response.docs]


class TestOnePort:
    def test_our_client(self, made: Certificates, port: int) -> None:
        for scheme in SCHEMES:
            assert asked(f"{scheme}://127.0.0.1:{port}", ca=made.ca) == ["hello"]
            with Client(f"{scheme}://localhost:{port}", ca=made.ca) as client:
                assert [each.text for each in client.stream("/x", ["a"])] == ["a"]

    def test_an_asyncio_client(self, made: Certificates, port: int) -> None:
        async def ask(scheme: str) -> list[str]:
            async with Client(f"{scheme}://127.0.0.1:{port}", ca=made.ca, asyncio=True) as client:
                return [each.docs[0].text async for each in client.post("/x", ["a"])]

        for scheme in SCHEMES:
            assert asyncio.run(ask(scheme)) == ["a"]

    def test_what_is_agreed_to(self, made: Certificates, port: int) -> None:
        """Whoever could speak both stays with HTTP/1.1; who speaks HTTP/2 alone gets it; who says nothing is served."""
        for offered, agreed in (
            ((), None),
            (("h2", "http/1.1"), "http/1.1"),
            (("h2",), "h2"),
            (("http/1.1",), "http/1.1"),
        ):
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as raw:
                with context(made, *offered).wrap_socket(raw, server_hostname="localhost") as client:
                    assert client.selected_alpn_protocol() == agreed
                    if agreed == "h2":
                        continue
                    client.sendall(post("/post", {"data": ["a"], "execEndpoint": "/x"}))
                    assert client.recv(65536).startswith(b"HTTP/1.1 200 ")

    def test_grpc_alone(self, made: Certificates) -> None:
        with serving("--protocol=grpc", *made.options, cwd=made.folder) as server:
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as raw:  # type: ignore[attr-defined]
                with context(made, "http/1.1", "h2").wrap_socket(raw, server_hostname="localhost") as client:
                    assert client.selected_alpn_protocol() == "h2"

    def test_other_clients(self, made: Certificates, port: int) -> None:
        with httpx.Client(verify=context(made)) as client:
            assert (
                client.post(f"https://127.0.0.1:{port}/search", json={"data": ["a"]}).json()["data"]["docs"][0]["text"]
                == "a"
            )
            assert client.get(f"https://127.0.0.1:{port}/docs").status_code == 200
        with websockets.sync.client.connect(f"wss://127.0.0.1:{port}/", ssl=context(made)) as talking:
            talking.send(json.dumps({"data": ["a"], "execEndpoint": "/x"}))
            assert json.loads(talking.recv(TIMEOUT))["data"]["docs"][0]["text"] == "a"
        credentials = grpc.ssl_channel_credentials(pathlib.Path(made.ca).read_bytes())
        with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
            assert channel.unary_unary("/twisted_flow.Flow/Post")(_request(), timeout=TIMEOUT)
        if shutil.which("curl"):
            said = subprocess.run(
                ["curl", "-sS", "--cacert", made.ca, f"https://localhost:{port}/livez"],
                capture_output=True,
                timeout=TIMEOUT,
            )
            assert said.returncode == 0, said.stderr

    def test_grpclib(self, made: Certificates, port: int) -> None:
        async def ask() -> None:
            async with grpclib.client.Channel("127.0.0.1", port, ssl=context(made, "h2")) as channel:
                method: Any = grpclib.client.UnaryUnaryMethod(
                    channel, "/twisted_flow.Flow/Post", RequestProto, RequestProto
                )
                assert (await method(RequestProto.FromString(_request()))).data.docs[0].text == "a"

        asyncio.run(asyncio.wait_for(ask(), TIMEOUT))

    def test_who_is_not_trusted(self, port: int) -> None:
        for scheme in SCHEMES:
            with pytest.raises(Unavailable, match="certificate verify failed"):
                asked(f"{scheme}://127.0.0.1:{port}")

    def test_a_plain_client(self, made: Certificates, port: int) -> None:
        """It gets an error, and the server lives on."""
        for protocol in ("http", "websocket", "grpc"):
            with pytest.raises(Unavailable):
                asked(f"127.0.0.1:{port}", protocol=protocol)
        assert asked(f"https://127.0.0.1:{port}", ca=made.ca) == ["hello"]


def _request() -> bytes:
    request = RequestProto()
    request.header.exec_endpoint = "/x"
    request.data.docs.add(text="a")
    return bytes(request.SerializeToString())


class TestMutual:
    def test_with_a_certificate(self, made: Certificates, mutual: int) -> None:
        cert, key = made.client("ann")
        for scheme in SCHEMES:
            assert asked(f"{scheme}://127.0.0.1:{mutual}", ca=made.ca, cert=cert, key=key) == ["hello"]

    def test_without(self, made: Certificates, mutual: int, tmp_path: pathlib.Path) -> None:
        """Or with one of another authority: nothing is answered."""
        stranger = Certificates(tmp_path).client("eve")
        for shown in ({}, dict(zip(("cert", "key"), stranger, strict=True))):
            for scheme in SCHEMES:
                with pytest.raises(Unavailable):
                    asked(f"{scheme}://127.0.0.1:{mutual}", ca=made.ca, **shown)

    def test_no_session_is_resumed(self, made: Certificates, mutual: int) -> None:
        """A certificate must not outlive its authority."""
        shown, session = context(made, shown=made.client("ann")), None
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", mutual), TIMEOUT) as raw:
                with shown.wrap_socket(raw, server_hostname="localhost", session=session) as client:
                    client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                    client.recv(1000)
                    assert not client.session_reused
                    session = client.session


class TestRenewal:
    def test_renewed_broken_and_mended(self, tmp_path: pathlib.Path) -> None:
        """New files are for new connections, at once on SIGHUP; broken ones are told, and left out."""
        made = Certificates(tmp_path)
        with serving(*ALL, *made.options, cwd=tmp_path) as server:
            port = server.port  # type: ignore[attr-defined]
            first = serial(made, port)
            with Client(f"wss://127.0.0.1:{port}", ca=made.ca) as client:
                assert client.post("/x", ["a"], return_results=True)
                made.server()
                server.wait_for_line("TLS: .* read again")
                second = serial(made, port)
                assert second != first
                assert client.post("/x", ["a"], return_results=True)  # the old connection goes on
            begin = len(server.lines)
            pathlib.Path(made.cert).write_text("nothing")
            server.wait_for_line("TLS: the new files are left out.*tls_cert", begin)
            assert serial(made, port) == second
            made.server()
            begin = len(server.lines)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_line("TLS: .* read again", begin)
            assert serial(made, port) not in (first, second)

    def test_by_exchanged_links(self, tmp_path: pathlib.Path) -> None:
        """As Kubernetes renews a secret."""
        made = Certificates(tmp_path)
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
            for file in made.server(f"{name}/tls"):
                assert os.path.exists(file)
        (tmp_path / "data").symlink_to("old")
        options = f"--tls-cert={tmp_path}/data/tls.pem", f"--tls-key={tmp_path}/data/tls.key"
        with serving("--protocol=http", *options, cwd=tmp_path) as server:
            first = serial(made, server.port)  # type: ignore[attr-defined]
            (tmp_path / "next").symlink_to("new")
            (tmp_path / "next").rename(tmp_path / "data")
            server.wait_for_line("TLS: .* read again")
            assert serial(made, server.port) != first  # type: ignore[attr-defined]


def serial(made: Certificates, port: int) -> object:
    """The serial number of the certificate that is shown at *port*."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as raw:
        with context(made).wrap_socket(raw, server_hostname="localhost") as client:
            return (client.getpeercert() or {})["serialNumber"]


class TestHandshakes:
    def test_silent_and_broken_ones(self, tmp_path: pathlib.Path) -> None:
        """They end in time, and hold nobody up."""
        made = Certificates(tmp_path)
        with serving("--protocol=http", *made.options, "--header-timeout=1", cwd=tmp_path) as server:
            port = server.port  # type: ignore[attr-defined]
            silent = [socket.create_connection(("127.0.0.1", port), TIMEOUT) for _ in range(50)]
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as broken:
                broken.sendall(b"GET / HTTP/1.1\r\n\r\n")
                ended(broken)
            assert asked(f"https://127.0.0.1:{port}", ca=made.ca) == ["hello"]
            for each in silent:
                ended(each)
                each.close()
            server.wait_for_line("TLS handshake with .* has failed")
            assert sum("has failed" in line for line in server.lines) <= 10
            assert server.stop() in STOPPED
            assert not any("Traceback" in line for line in server.lines)

    def test_a_stop_during_one(self, tmp_path: pathlib.Path) -> None:
        made = Certificates(tmp_path)
        with serving("--protocol=http", *made.options, cwd=tmp_path) as server:
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT):  # type: ignore[attr-defined]
                assert server.stop() in STOPPED


def ended(connection: socket.socket) -> None:
    connection.settimeout(TIMEOUT)
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        pass


class TestElsewhere:
    def test_grpcio_in_front(self, made: Certificates, tmp_path: pathlib.Path) -> None:
        """The same options; renewed as well, and mutual."""
        own = Certificates(tmp_path)
        options = (
            "--protocol=grpc",
            "--grpc=grpcio",
            *own.options,
            f"--tls-client-ca={own.ca}",
            f"--port={free_port()}",
        )
        with serving(*options, cwd=tmp_path) as server:
            port, (cert, key) = server.port, own.client("ann")  # type: ignore[attr-defined]
            assert asked(f"grpcs://127.0.0.1:{port}", ca=own.ca, cert=cert, key=key) == ["hello"]
            with pytest.raises(Unavailable):
                asked(f"grpcs://127.0.0.1:{port}", ca=own.ca)
            own.server()
            server.wait_for_line("TLS: .* read again")
            assert asked(f"grpcs://127.0.0.1:{port}", ca=own.ca, cert=cert, key=key) == ["hello"]

    def test_an_ssl_endpoint(self, made: Certificates) -> None:
        endpoint = f"--listen=ssl:0:privateKey={made.key}:certKey={made.cert}:interface=127.0.0.1"
        with serving(*ALL, endpoint, cwd=made.folder) as server:
            assert asked(f"grpcs://127.0.0.1:{server.port}", ca=made.ca) == ["hello"]  # type: ignore[attr-defined]

    def test_a_flow_of_python_and_its_own_client(self, made: Certificates) -> None:
        """Whatever name the certificate is for. The banner says https."""
        for protocol in ("http", "websocket", "grpc"):
            with Flow(protocol=protocol, tls_cert=made.cert, tls_key=made.key, host="127.0.0.1") as flow:
                assert flow.post("/x", ["a"], return_results=True)[0].docs[0].text == "a"

    def test_a_file(self, made: Certificates, tmp_path: pathlib.Path) -> None:
        """Its paths are seen from its folder."""
        for name in (made.cert, made.key):
            shutil.copy(name, tmp_path)
        (tmp_path / "flow.yml").write_text(
            "jtype: Flow\nwith: {protocol: http, tls_cert: server.pem, tls_key: server.key}\n"
        )
        flow = Flow.load_config(tmp_path / "flow.yml", host="127.0.0.1")
        again = Flow.load_config(flow.save_config())
        assert again.config.security == flow.config.security
        with flow:
            assert asked(f"https://127.0.0.1:{flow.port}", ca=made.ca) == ["hello"]

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_a_remote_flow(self, made: Certificates, port: int, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The authorities are the system's, which SSL_CERT_FILE names."""
        monkeypatch.setenv("SSL_CERT_FILE", made.ca)
        with Flow(protocol="http").add(name="far", host=f"{scheme}://127.0.0.1:{port}") as flow:
            assert flow.post("/x", ["a"], return_results=True)[0].docs[0].text == "a"


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"tls_key": "k.pem"}, "tls_key='k.pem': TLS needs tls_cert= too"),
            ({"tls_client_ca": "k.pem"}, "tls_client_ca='k.pem': TLS needs tls_cert= too"),
            ({"tls_cert": "/nowhere"}, "tls_cert='/nowhere': No such file"),
            ({"tls_cert": "CERT", "tls_key": "/nowhere"}, "tls_key='/nowhere': No such file"),
            ({"tls_cert": "CERT", "tls_key": "OTHER"}, "the key is not the certificate's"),
            ({"tls_cert": "CERT"}, "no PEM file that can be used"),
            ({"tls_cert": "CERT", "tls_key": "KEY", "tls_client_ca": __file__}, "tls_client_ca=.*no PEM file"),
            ({"tls_cert": "CERT", "tls_key": "KEY", "listen": "unix:/tmp/x"}, "TLS is for ports"),
        ],
    )
    def test_of_a_server(self, made: Certificates, arguments: dict[str, str], said: str) -> None:
        """One line each, before anything runs."""
        files = {"CERT": made.cert, "KEY": made.key, "OTHER": made.client("other")[1]}
        with pytest.raises(ConfigurationError, match=said) as wrong:
            Flow(protocol="http", **{name: files.get(each, each) for name, each in arguments.items()}).start()
        assert "\n" not in str(wrong.value)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"host": "http://x", "ca": "a.pem"}, "ca='a.pem' is for TLS"),
            ({"host": "https://x", "ca": "/nowhere"}, "ca='/nowhere': No such file"),
            ({"host": "https://x", "key": "a.pem"}, "key= is the key of cert="),
            ({"host": "https://x", "cert": __file__}, "no PEM file that can be used"),
            ({"host": "x", "token": "a b"}, "token= is printable ASCII"),
            ({"host": "x", "token": "a\n"}, "token= is printable ASCII"),
            ({"host": "x", "headers": {"Host": "a"}}, "'host' is no header field that a client may choose"),
            ({"host": "x", "headers": {"a b": "c"}}, "'a b' is no header field"),
            ({"host": "x", "headers": {"a": "b\r\nc: d"}}, "the value of 'a' is not printable ASCII"),
            ({"host": "x", "headers": {"Authorization": "b"}, "token": "c"}, "say the same"),
        ],
    )
    def test_of_a_client(self, arguments: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigurationError, match=said) as wrong:
            Client(**arguments)
        assert "\n" not in str(wrong.value)

    def test_a_key_with_a_password(self, made: Certificates, tmp_path: pathlib.Path) -> None:
        """Nobody is there to be asked for it."""
        if shutil.which("openssl") is None:
            pytest.fail("openssl is needed")
        locked = tmp_path / "locked.key"
        subprocess.run(
            ["openssl", "pkey", "-in", made.key, "-aes256", "-passout", "pass:secret", "-out", str(locked)], check=True
        )
        with pytest.raises(ConfigurationError, match="the key has a password"):
            Flow(tls_cert=made.cert, tls_key=str(locked)).start()

    def test_usual_ports(self) -> None:
        assert Client("https://flow.example").port == 443
        assert Client("http://flow.example").port == 12345
        assert repr(Client("https://x", token="secret").__dict__).count("secret") == 0
