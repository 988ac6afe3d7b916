"""Tokens and mutual TLS on every protocol, over real sockets: who may ask what, by tables of all there is to ask."""

from __future__ import annotations

import contextlib
import json
import pathlib
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.browsing import page_at
from tests.certificates import Certificates
from tests.grpc_calls import handler, proto
from tests.support import ROOT, TIMEOUT, connect, entry, free_port, post, serving
from twisted_flow import Client, Document, Flow
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.errors import ConfigurationError, Unauthenticated, Unavailable
from twisted_flow.gateway.grpc.admitting import OPEN
from twisted_flow.gateway.grpc.gateway import _methods
from twisted_flow.gateway.grpc.services import Health, reflections
from twisted_flow.gateway.http.health import HEALTH
from twisted_flow.readiness import Readiness
from twisted_flow.security.tokens import new_token

EXECUTORS = """
import asyncio
from twisted_flow import Document, Executor, requests

class Who(Executor):
    @requests(on="/who")
    def who(self, docs, context):
        docs[0].text = str(context.principal)

    @requests(on="/whom")
    async def whom(self, docs, context):
        docs[0].text = str(context.principal)

    @requests(on="/endless")
    async def endless(self, docs):
        while True:
            yield Document("again")
            await asyncio.sleep(0.01)
"""
ALL = ("--protocol=http", "--protocol=websocket", "--protocol=grpc")
TOKEN, LINE = new_token("ann")
OTHER, OTHER_LINE = new_token("bob")
WRONG = {
    "none": None,
    "unknown": "Bearer unknown",
    "another scheme": f"Basic {TOKEN}",
    "no scheme": TOKEN,
    "cut": f"Bearer {TOKEN[:-1]}",
    "longer": f"Bearer {TOKEN}x",
    "its hash": f"Bearer {LINE.rpartition(':')[2]}",
}
OWN = ROOT / "examples/own_service"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made = tmp_path_factory.mktemp("tokens")
    (made / "who.py").write_text(EXECUTORS)
    (made / "tokens").write_text(f"{LINE}\n{OTHER_LINE}\n")
    return made


@pytest.fixture(scope="module")
def port(folder: pathlib.Path) -> Iterator[int]:
    options = (
        "--uses=who.py:Who",
        "--expose-endpoint=/who",
        "--tokens=tokens",
        f"--grpc-services={OWN / 'shouting.py'}:Shouting",
    )
    with serving(*ALL, *options, cwd=folder) as server:
        yield server.port  # type: ignore[attr-defined]


def http_table(port: int) -> list[str]:
    """Every path that the server has, from its own document, and some that it has not."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {TOKEN}"}) as client:
        document = client.get("/openapi.json").json()
    pages = ("/docs", "/redoc", "/openapi.json", "/docs/swagger.js", "/docs/swagger.css", "/redoc/redoc.js")
    hidden = ("/", "/nowhere", "/status/", "//post", "/post/..", "/livez/x", "/Livez", "/livez%2f", "/metrics")
    return [*document["paths"], *pages, *hidden]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def test_walk_http(port: int) -> None:
    """All paths, all methods, on the lane and by Klein, with a body and without: nothing but 401."""
    table, asked = http_table(port), 0
    assert {"/post", "/status", "/search", "/who"} <= set(table)
    for path in table:
        for method in METHODS:
            for wrong in WRONG.values():
                for extra in ((), ("X-Own: 1",)):
                    credentials = [f"Authorization: {wrong}"] if wrong else []
                    lines = [
                        f"{method} {path} HTTP/1.1",
                        "Host: x",
                        "Content-Type: application/json",
                        *credentials,
                        *extra,
                    ]
                    status = status_of(port, lines, b'{"data":["a"],"execEndpoint":"/who"}')
                    assert status == 401, (method, path, wrong, extra)
                    asked += 1
    assert asked > 1500


def status_of(port: int, lines: list[str], body: bytes) -> int:
    with connect(port) as client:
        client.sendall(
            "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]).encode() + body
        )
        said = b""
        while b"\r\n" not in said:
            came = client.recv(65536)
            assert came
            said += came
        return int(said.split(b" ")[1])


@pytest.mark.parametrize("path", HEALTH)
def test_health_is_open(port: int, path: str) -> None:
    for extra in ({}, {"x-own": "1"}, {"authorization": "Bearer unknown"}):
        assert httpx.get(f"http://127.0.0.1:{port}{path}", headers=extra).status_code == 200


def test_walk_websocket(port: int) -> None:
    """Handshakes with every way to show credentials, but the right one."""
    for wrong in WRONG.values():
        for offered in (None, ["json"], ["protobuf"], ["bearer.unknown"], ["json", "bearer."], ["json", f"bearer.{TOKEN[:-1]}"],
                        ["json", f"bearer.{TOKEN}", "bearer.x"]):  # fmt: skip
            headers = {"Authorization": wrong} if wrong else {}
            with pytest.raises(InvalidStatus) as refused:
                websockets.sync.client.connect(
                    f"ws://127.0.0.1:{port}/",
                    additional_headers=headers,
                    subprotocols=offered,  # type: ignore[arg-type]
                )
            assert refused.value.response.status_code == 401
            assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"
    with pytest.raises(InvalidStatus):  # never in the URL
        websockets.sync.client.connect(f"ws://127.0.0.1:{port}/?token={TOKEN}&access_token={TOKEN}")


def grpc_methods() -> list[str]:
    own = ["/jina.JinaRPC/Call", "/twisted_flow.Flow/Post", "/twisted_flow.Flow/Stream"]
    reflection = [f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")]
    return [
        *own,
        *reflection,
        "/shouting.Shouting/Shout",
        "/shouting.Shouting/ShoutEach",
        "/nowhere/At",
        "/x",
        "/grpc.health.v1.Health/check",
    ]


def test_the_table_of_grpc_is_whole() -> None:
    """Those are all that the lane has of its own, but what is open."""
    methods = _methods(entry(), Health((), Readiness()), reflections(()))
    assert {name for name in methods if name.encode() not in OPEN} <= set(grpc_methods())


@pytest.mark.parametrize("front", ["lane", "grpcio"])
def test_walk_grpc(port: int, folder: pathlib.Path, front: str) -> None:
    """Every method, there or not, with every kind of call."""
    with contextlib.ExitStack() as stack:
        if front == "grpcio":
            options = (
                "--protocol=grpc",
                "--grpc=grpcio",
                "--uses=who.py:Who",
                "--tokens=tokens",
                f"--port={free_port()}",
            )
            port = stack.enter_context(
                serving(*options, f"--grpc-services={OWN / 'shouting.py'}:Shouting", cwd=folder)
            ).port  # type: ignore[attr-defined]
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
        message = proto("/who", "a").SerializeToString()
        for method in grpc_methods():
            for wrong in WRONG.values():
                shown = [("authorization", wrong)] if wrong else []
                for metadata in (shown, [*shown, ("cookie", TOKEN)]):
                    with pytest.raises(grpc.RpcError) as refused:
                        channel.unary_unary(method)(message, metadata=metadata, timeout=TIMEOUT)
                    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, (method, wrong)
                    with pytest.raises(grpc.RpcError) as refused:
                        list(channel.stream_stream(method)(iter([message]), metadata=metadata, timeout=TIMEOUT))
                    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, (method, wrong)
        for each in OPEN:
            if each.endswith(b"Watch"):
                assert next(channel.unary_stream(each.decode())(b"", timeout=TIMEOUT)) == b"\x08\x01"
            else:
                assert channel.unary_unary(each.decode())(b"", timeout=TIMEOUT)
        for each in ("/twisted_flow.Flow/Post",):
            metadata = [("authorization", f"Bearer {TOKEN}")]
            answer = channel.unary_unary(each, response_deserializer=RequestProto.FromString)(
                message, metadata=metadata
            )
            assert answer.data.docs[0].text == "ann"


class TestPrincipal:
    """Whoever shows a token is called by its name, everywhere."""

    @pytest.mark.parametrize("protocol", ["http", "websocket", "grpc"])
    @pytest.mark.parametrize("endpoint", ["/who", "/whom"])
    def test_in_a_method(self, port: int, protocol: str, endpoint: str) -> None:
        for token, name in ((TOKEN, "ann"), (OTHER, "bob")):
            with Client(protocol=protocol, port=port, token=token) as client:
                (response,) = client.post(endpoint, [Document(text="x")], return_results=True)
                assert response.docs[0].text == name
                assert [each.text for each in client.stream(endpoint, ["x"])] == [name]
            with Client(protocol=protocol, port=port, headers={"Authorization": f"Bearer {token}"}) as client:
                assert client.post(endpoint, ["x"], return_results=True)[0].docs[0].text == name

    @pytest.mark.parametrize("protocol", ["http", "websocket", "grpc"])
    def test_our_client_is_told(self, port: int, protocol: str) -> None:
        for token in (None, "unknown"):
            with Client(protocol=protocol, port=port, token=token) as client:
                with pytest.raises(Unauthenticated):
                    client.post("/who", ["x"])
                with pytest.raises(Unauthenticated):
                    list(client.stream("/who", ["x"]))

    def test_as_a_subprotocol(self, port: int) -> None:
        """As a browser has to; it is answered with the real one alone."""
        offered: Any = ["json", f"bearer.{TOKEN}"]
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/", subprotocols=offered) as talking:
            assert talking.subprotocol == "json"
            talking.send(json.dumps({"data": ["x"], "execEndpoint": "/who"}))
            assert json.loads(talking.recv(TIMEOUT))["data"]["docs"][0]["text"] == "ann"

    def test_in_a_users_service(self, folder: pathlib.Path) -> None:
        """As metadata that no caller can set."""
        metadata = [("authorization", f"Bearer {TOKEN}"), ("twisted-flow-principal", "root")]
        with Flow(protocol="grpc", tokens=str(folder / "tokens"), grpc_services=[handler()]) as flow:
            with grpc.insecure_channel(f"127.0.0.1:{flow.port}") as channel:
                told = channel.unary_unary("/told.Told/Tell")(b"", metadata=metadata, timeout=TIMEOUT)
        assert b"('twisted-flow-principal', 'ann')" in told
        assert b"root" not in told

    def test_in_a_process(self, folder: pathlib.Path) -> None:
        with serving(
            "--protocol=http", "--uses=who.py:Who", "--engine=process", "--tokens=tokens", cwd=folder
        ) as server:
            with Client(protocol="http", port=server.port, token=TOKEN) as client:  # type: ignore[attr-defined]
                assert client.post("/who", ["x"], return_results=True)[0].docs[0].text == "ann"

    def test_by_a_certificate(self, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
        """Mutual TLS alone: the certificate's name."""
        made = Certificates(tmp_path)
        cert, key = made.client("carol")
        options = (*made.options, f"--tls-client-ca={made.ca}", "--uses=who.py:Who")
        with serving(*ALL, *options, cwd=folder) as server:
            for scheme in ("https", "wss", "grpcs"):
                url = f"{scheme}://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
                with Client(url, ca=made.ca, cert=cert, key=key) as client:
                    assert client.post("/who", ["x"], return_results=True)[0].docs[0].text == "carol"

    def test_by_certificate_through_grpcio(self, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
        made = Certificates(tmp_path)
        cert, key = made.client("carol")
        options = (
            *made.options,
            f"--tls-client-ca={made.ca}",
            "--uses=who.py:Who",
            "--grpc=grpcio",
            f"--port={free_port()}",
        )
        with serving("--protocol=grpc", *options, cwd=folder) as server:
            url = f"grpcs://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
            with Client(url, ca=made.ca, cert=cert, key=key) as client:
                assert client.post("/who", ["x"], return_results=True)[0].docs[0].text == "carol"


class TestRevoked:
    """A token that is taken out of the file ends what it had opened; others' go on."""

    @pytest.fixture
    def own(self, folder: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Any]:
        (tmp_path / "who.py").write_text(EXECUTORS)
        (tmp_path / "tokens").write_text(f"{LINE}\n{OTHER_LINE}\n")
        with serving(
            *ALL, "--uses=who.py:Who", "--tokens=tokens", "--expose-endpoint=/endless", cwd=tmp_path
        ) as server:
            server.revoke = lambda: (tmp_path / "tokens").write_text(f"{OTHER_LINE}\n")  # type: ignore[attr-defined]
            yield server

    def test_websockets(self, own: Any) -> None:
        def opened(token: str) -> Any:
            headers = {"Authorization": f"Bearer {token}"}
            return websockets.sync.client.connect(f"ws://127.0.0.1:{own.port}/", additional_headers=headers)

        with opened(TOKEN) as revoked, opened(OTHER) as stays:
            own.revoke()
            own.process.send_signal(signal.SIGHUP)
            with pytest.raises(ConnectionClosed) as closed:
                revoked.recv(TIMEOUT)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            stays.send(json.dumps({"data": ["x"], "execEndpoint": "/who"}))
            assert json.loads(stays.recv(TIMEOUT))["data"]["docs"][0]["text"] == "bob"

    def test_streams(self, own: Any) -> None:
        """On every protocol the stream ends with why; within a second of the file's change, unasked."""

        def begun(protocol: str, token: str) -> tuple[Any, Any]:
            client = Client(protocol=protocol, port=own.port, token=token)
            stream = client.stream("/endless", ["x"])
            assert next(iter(stream)).text == "again"
            return client, stream

        revoked = [begun(protocol, TOKEN) for protocol in ("http", "websocket", "grpc")]
        stays = [begun(protocol, OTHER) for protocol in ("http", "websocket", "grpc")]
        own.revoke()
        for client, stream in revoked:
            with pytest.raises(Unauthenticated):
                for _ in stream:
                    pass
            client.close()
        for client, stream in stays:
            assert next(iter(stream)).text == "again"
            stream.cancel()
            client.close()

    def test_a_call_that_waits(self, own: Any) -> None:
        """``Call`` with nothing under way, and reflection: UNAUTHENTICATED."""
        metadata = [("authorization", f"Bearer {TOKEN}")]
        messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with grpc.insecure_channel(f"127.0.0.1:{own.port}") as channel:
            stub = channel.stream_stream("/jina.JinaRPC/Call", RequestProto.SerializeToString, RequestProto.FromString)
            answers = stub(iter(messages.get, None), metadata=metadata, timeout=TIMEOUT)
            messages.put(proto("/who", "a"))
            assert next(answers).data.docs[0].text == "ann"
            own.revoke()
            with pytest.raises(grpc.RpcError) as ended:
                next(answers)
            assert ended.value.code() == grpc.StatusCode.UNAUTHENTICATED
            messages.put(None)

    def test_a_call_whose_input_is_over(self, own: Any) -> None:
        """It ends by UNAUTHENTICATED too, though its last answer has told it already."""
        metadata = [("authorization", f"Bearer {TOKEN}")]
        with grpc.insecure_channel(f"127.0.0.1:{own.port}") as channel:
            stub = channel.stream_stream("/jina.JinaRPC/Call", RequestProto.SerializeToString, RequestProto.FromString)
            asked = proto("/endless", "a")
            asked.stream = True
            answers = stub(iter([asked]), metadata=metadata, timeout=TIMEOUT)
            next(answers)
            own.revoke()
            with pytest.raises(grpc.RpcError) as ended:
                for _ in answers:
                    pass
            assert ended.value.code() == grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize("extra", [(), ("X-Own: 1",)])
    def test_a_stream_that_begins_after_it(self, own: Any, extra: tuple[str, ...]) -> None:
        """Its caller was admitted when its head came: what the body asks for ends all the same."""
        fields = ("Accept: text/event-stream", f"Authorization: Bearer {TOKEN}", *extra)
        raw = post("/post", {"data": ["a"], "execEndpoint": "/endless"}, *fields)
        with connect(own.port) as client:
            client.sendall(raw[:-5])
            own.revoke()
            own.process.send_signal(signal.SIGHUP)
            own.wait_for_line("tokens: .* read again")
            client.sendall(raw[-5:])
            said = b""
            while b"Unauthenticated" not in said:
                came = client.recv(65536)
                assert came
                said += came

    def test_a_method_that_streams_after_it(self, own: Any) -> None:
        """The same over gRPC."""
        metadata = [("authorization", f"Bearer {TOKEN}")]
        messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with grpc.insecure_channel(f"127.0.0.1:{own.port}") as channel:
            answers = channel.stream_stream("/twisted_flow.Flow/Stream")(
                iter(messages.get, None), metadata=metadata, timeout=TIMEOUT
            )
            own.wait_for_line("Flow is ready")
            grpc.channel_ready_future(channel).result(TIMEOUT)
            own.revoke()
            own.process.send_signal(signal.SIGHUP)
            own.wait_for_line("tokens: .* read again")
            messages.put(proto("/endless", "a").SerializeToString())
            with pytest.raises(grpc.RpcError) as ended:
                for _ in answers:
                    pass
            assert ended.value.code() == grpc.StatusCode.UNAUTHENTICATED
            messages.put(None)


class TestAuthenticators:
    @pytest.mark.parametrize("said", ["succeed('ann')", "fail(Unauthenticated('no'))", "cancelled()"])
    def test_deferreds_that_have_fired(self, tmp_path: pathlib.Path, said: str) -> None:
        """Or are cancelled by themselves: each protocol answers at once, and the server ends when it is told to."""
        (tmp_path / "who.py").write_text(EXECUTORS)
        (tmp_path / "mine.py").write_text(
            "from twisted.internet.defer import Deferred, fail, succeed\nfrom zope.interface import implementer\n"
            "from twisted_flow import IAuthenticator, Unauthenticated\n"
            "def cancelled():\n    asked = Deferred()\n    asked.cancel()\n    return asked\n"
            f"@implementer(IAuthenticator)\nclass Mine:\n    def authenticate(self, credentials): return {said}\n"
        )
        with serving(*ALL, "--uses=who.py:Who", "--authenticator=mine.py:Mine", cwd=tmp_path) as server:
            for protocol in ("http", "websocket", "grpc"):
                with Client(protocol=protocol, port=server.port) as client:  # type: ignore[attr-defined]
                    if "succeed" in said:
                        assert client.post("/who", ["x"], return_results=True)[0].docs[0].text == "ann"
                        continue
                    with pytest.raises(Unauthenticated if "fail" in said else Unavailable):
                        client.post("/who", ["x"], timeout=TIMEOUT)
            server.stop()
            assert not any("Traceback" in line for line in server.lines)

    def test_users_services_of_grpcio_under_mutual_tls(self, tmp_path: pathlib.Path) -> None:
        """A handshake that has succeeded is enough for what cannot be told more."""
        made = Certificates(tmp_path)
        cert, key = made.client("carol")
        options = (*made.options, f"--tls-client-ca={made.ca}", "--grpc=grpcio", f"--port={free_port()}")
        with serving(
            "--protocol=grpc", *options, f"--grpc-services={OWN / 'shouting.py'}:Shouting", cwd=tmp_path
        ) as server:
            files = [pathlib.Path(name).read_bytes() for name in (made.ca, key, cert)]
            credentials = grpc.ssl_channel_credentials(*files)
            with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:  # type: ignore[attr-defined]
                said = channel.unary_unary("/shouting.Shouting/Shout")(b"\x0a\x01a", timeout=TIMEOUT)
                assert said == b"\x0a\x01A"

    def test_of_a_file(self, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
        """A class with a Deferred, named on the command line."""
        (tmp_path / "mine.py").write_text(
            "from twisted.internet import reactor\nfrom twisted.internet.task import deferLater\n"
            "from zope.interface import implementer\nfrom twisted_flow import Credentials, IAuthenticator, Unauthenticated\n"
            "@implementer(IAuthenticator)\nclass Mine:\n"
            "    def authenticate(self, credentials):\n"
            "        def answer():\n"
            "            if credentials.token != 'open': raise Unauthenticated('no')\n"
            "            return f'{credentials.protocol}-user'\n"
            "        return deferLater(reactor, 0.01, answer)\n"
        )
        (tmp_path / "who.py").write_text(EXECUTORS)
        with serving(*ALL, "--uses=who.py:Who", "--authenticator=mine.py:Mine", cwd=tmp_path) as server:
            for protocol in ("http", "websocket", "grpc"):
                with Client(protocol=protocol, port=server.port, token="open") as client:  # type: ignore[attr-defined]
                    for _ in range(3):
                        (response,) = client.post("/who", ["x"], return_results=True)
                        assert response.docs[0].text == f"{protocol}-user"
                    assert [each.text for each in client.stream("/who", ["x"])] == [f"{protocol}-user"]
                with Client(protocol=protocol, port=server.port, token="shut") as client:  # type: ignore[attr-defined]
                    with pytest.raises(Unauthenticated):
                        client.post("/who", ["x"])

    def test_of_a_flow(self) -> None:
        """A function."""

        def check(credentials: Any) -> str:
            if credentials.token != "open":
                raise Unauthenticated("no")
            return "anybody"

        with Flow(protocol="http", authenticator=check) as flow:
            url = f"http://127.0.0.1:{flow.port}/post"
            body = {"data": ["a"], "execEndpoint": "/x"}
            assert httpx.post(url, json=body).status_code == 401
            assert httpx.post(url, json=body, headers={"authorization": "Bearer open"}).status_code == 200

    def test_a_protocol_that_does_not_ask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It would let anybody in: the flow says so, and does not start."""
        from twisted_flow import protocols

        lines = protocols.Protocol(name="lines", gateway="x.y")
        monkeypatch.setitem(protocols.PROTOCOLS, "lines", lines)
        with pytest.raises(ConfigurationError, match="protocol='lines' does not ask who calls"):
            Flow(protocol="lines", authenticator=lambda credentials: "x").start()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"tokens": "/nowhere"}, "tokens='/nowhere': No such file"),
            ({"tokens": "a", "authenticator": "b"}, "give one of them"),
            ({"open": "docs"}, "say tokens= too"),
            ({"tokens": "a", "open": "all"}, "what can be open to anybody is docs"),
        ],
    )
    def test_mistakes(self, arguments: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            Flow(protocol="http", **arguments).start()


def test_new_token(tmp_path: pathlib.Path) -> None:
    """The command prints a token and its line, which work at once."""
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    made = subprocess.run(
        [twistd, "flow", "--new-token=eve"], capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    token, line = made.stdout.splitlines()
    (tmp_path / "tokens").write_text(line)
    (tmp_path / "who.py").write_text(EXECUTORS)
    with serving("--protocol=http", "--uses=who.py:Who", "--tokens=tokens", cwd=tmp_path) as server:
        with Client(protocol="http", port=server.port, token=token) as client:  # type: ignore[attr-defined]
            assert client.post("/who", ["x"], return_results=True)[0].docs[0].text == "eve"
        assert not any(token in each for each in server.lines)


def test_authorize_in_swagger_ui(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Its button takes a token, and Execute works with it; the pages themselves are opened by --open=docs."""
    options = ("--uses=who.py:Who", "--expose-endpoint=/who", "--tokens=tokens", "--open=docs")
    with serving("--protocol=http", *options, cwd=folder) as server:
        url = f"http://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
        assert httpx.get(f"{url}/status").status_code == 401
        document = httpx.get(f"{url}/openapi.json").json()
        assert document["security"] == [{"bearer": []}]
        assert {"401", "403"} <= document["paths"]["/who"]["post"]["responses"].keys()
        with page_at(f"{url}/docs", tmp_path) as shown:
            shown.wait_for("!!document.querySelector('.btn.authorize')")
            shown.evaluate("document.querySelector('.btn.authorize').click()")
            shown.wait_for("!!document.querySelector('.auth-container input')")
            shown.evaluate(
                "(() => { const field = document.querySelector('.auth-container input');"
                "Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, '" + TOKEN + "');"
                "field.dispatchEvent(new Event('input', {bubbles: true}));"
                "field.dispatchEvent(new Event('change', {bubbles: true})); })()"
            )
            shown.evaluate("document.querySelector('.auth-btn-wrapper .authorize').click()")
            shown.wait_for("/logout/i.test(document.querySelector('.auth-btn-wrapper').textContent)")
            shown.evaluate("document.querySelector('.auth-btn-wrapper .btn-done').click()")
            who = "[...document.querySelectorAll('.opblock')].find(e => /\\/who/.test(e.querySelector('.opblock-summary').innerText))"
            shown.wait_for(f"!!{who}")
            shown.evaluate(f"{who}.querySelector('.opblock-summary-control').click()")
            shown.wait_for(f"!!{who}.querySelector('.try-out__btn')")
            shown.evaluate(f"{who}.querySelector('.try-out__btn').click()")
            shown.wait_for(f"!!{who}.querySelector('.execute')")
            shown.evaluate(f"{who}.querySelector('.execute').click()")
            told = shown.wait_for(f"{who}.querySelector('.live-responses-table .response')?.textContent")
            assert told.startswith("200"), told
            assert "ann" in told
