"""The client, against our server, on each protocol."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from tests.support import Log
from twisted_flow import Client, ConfigurationError, Document, DocumentArray, Executor, Flow, FlowError, requests
from twisted_flow.errors import ExecutorError, NotFound, PayloadTooLarge, Reject, Unavailable
from twisted_flow.limits import Limits


class Many(Executor):
    @requests
    async def upper(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        for document in docs:
            document.text = (document.text or "").upper()
            document.tags["parameters"] = parameters

    @requests(on="/fail_odd")
    async def fail_odd(self, docs: DocumentArray) -> None:
        if int(docs[0].text or "0") % 2:
            raise ValueError("odd")

    @requests(on="/missing")
    async def missing(self) -> None:
        raise Reject("NotFound", "not here")


@pytest.fixture(scope="module", params=["grpc", "http", "websocket"])
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    with Flow(protocol=request.param, host="127.0.0.1").add(uses=Many) as flow:
        yield flow


@pytest.fixture
def client(flow: Flow) -> Iterator[Client]:
    client = Client(protocol=str(flow.protocol), host="127.0.0.1", port=flow.port)
    yield client
    client.close()


def texts(responses: list[Any]) -> list[str]:
    return sorted(text for response in responses for text in response.docs.texts)


class TestPost:
    @pytest.mark.parametrize("count", [1, 57, 5000])
    def test_documents(self, client: Client, count: int) -> None:
        """Any number of documents, streamed in requests of a hundred."""
        responses = client.post("/x", (f"t{n}" for n in range(count)), return_results=True)
        assert len(responses) == -(-count // 100)
        assert texts(responses) == sorted(f"T{n}" for n in range(count))
        assert {route.pod for response in responses for route in response.routes} == {"gateway", "executor0"}

    def test_everything_travels(self, client: Client) -> None:
        """Arrays of several types, nested documents, tags, scores, groundtruths and parameters come back as they went."""
        document = Document(
            text="grüße 🎉",
            embedding=np.arange(6, dtype="<f4").reshape(2, 3),
            chunks=[Document("c", chunks=[Document("d")])],
            matches=[Document("m", scores={"s": 1.5})],
            tags={"a": [1, {"b": None}]},
        )
        (response,) = client.post("/x", [(document, Document("truth"))], parameters={"k": 5}, return_results=True)
        (back,) = response.docs
        assert back.text == "GRÜSSE 🎉"
        assert back.tags.pop("parameters") == {"k": 5}
        back.text, back.mime_type = document.text, document.mime_type
        assert back == document
        assert response.groundtruths.texts == ["truth"]
        assert response.parameters == {"k": 5}

    @pytest.mark.parametrize("dtype", ["<f8", "<i8", "|u1", "|b1", "<f2", ">f4"])
    def test_dtypes(self, client: Client, dtype: str) -> None:
        """Arrays keep their type."""
        (response,) = client.post("/nothing", np.ones((2, 2), dtype), target_peapod="nobody", return_results=True)
        assert response.docs[0].blob.dtype == np.dtype(dtype)

    @pytest.mark.parametrize(
        ("inputs", "found"),
        [
            (None, []),
            ("a", ["A"]),
            (Document(text="a"), ["A"]),
            ({"text": "a"}, ["A"]),
            (["a", {"text": "b"}, Document("c")], ["A", "B", "C"]),
            (lambda: (text for text in "ab"), ["A", "B"]),
            (DocumentArray([Document("a")]), ["A"]),
            (b"bytes", [""]),
            ([], []),
            ((Document("a"), "b"), ["A", "B"]),
        ],
    )
    def test_inputs(self, client: Client, inputs: Any, found: list[str]) -> None:
        """Whatever one may want to send."""
        assert texts(client.post("/x", inputs, return_results=True)) == found

    def test_request_size(self, client: Client) -> None:
        """So many documents in a request; the others' endpoints by name."""
        assert len(client.index(["a"] * 10, request_size=3, return_results=True)) == 4
        for method in (client.search, client.update, client.delete):
            assert texts(method("a", return_results=True)) == ["A"]

    def test_progress(self, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
        """A line on standard error tells how far it has come."""
        client.post("/x", ["a", "b", "c"], request_size=2, show_progress=True)
        assert capsys.readouterr().err.splitlines()[-1].strip().startswith("3 documents in 2 requests, ")
        client.post("/x", ["a"])
        assert "documents" not in capsys.readouterr().err

    def test_callbacks(self, client: Client) -> None:
        """Each response is told to who asked; nothing is returned unless asked for."""
        done, failed, always = [], [], []
        returned = client.post("/fail_odd", ["0", "1", "2"], done.append, failed.append, always.append, request_size=1)
        assert returned is None
        assert (len(done), len(failed), len(always)) == (2, 1, 3)
        status = failed[0].status
        assert (status.code, status.exception.name, status.exception.executor) == (3, "ExecutorError", "executor0")
        assert status.description == "ExecutorError: executor 'executor0' raised ValueError"

    def test_errors(self, client: Client) -> None:
        """A failure is an exception of the tree; the client goes on."""
        with pytest.raises(ExecutorError, match="raised ValueError"):
            client.post("/fail_odd", "1")
        with pytest.raises(NotFound, match="not here"):
            client.post("/missing", "1")
        responses = client.post(
            "/fail_odd", ["0", "1", "2"], request_size=1, continue_on_error=True, return_results=True
        )
        assert {"0", "2"} <= {text for response in responses for text in response.docs.texts}
        assert sorted(response.status.code for response in responses) == [0, 0, 3]
        with pytest.raises(ExecutorError) as wrong:
            client.post("/fail_odd", "1")
        assert wrong.value.executor == "executor0"

    def test_bad_input(self, client: Client) -> None:
        """What is no document is told at once; the client goes on."""
        with pytest.raises(TypeError, match="document"):
            client.post("/x", [5])
        with pytest.raises(ValueError, match="request_size"):
            client.post("/x", "a", request_size=-1)
        with pytest.raises(TypeError, match="they are a dict"):
            client.post("/x", "a", parameters=5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"/data/docs/1/tags/a/0: .*object"):
            client.post("/x", [Document(), Document(tags={"a": [object()]})])
        with pytest.raises(TypeError, match=r"/parameters/a/b: .*object"):
            client.post("/x", "a", parameters={"a": {"b": object()}})
        with pytest.raises(ValueError, match=r"/data/docs/0/text: .*surrogates"):
            client.post("/x", "caf\udce9")
        assert texts(client.post("/x", "a", return_results=True)) == ["A"]

    def test_too_large(self, flow: Flow) -> None:
        """A message beyond the server's limit is said to be so."""
        with Flow(protocol=flow.protocol, host="127.0.0.1", limits=Limits(max_body=5000)).add(uses=Many) as small:
            with pytest.raises(PayloadTooLarge):
                small.post("/x", "a" * 6000)
            assert texts(small.post("/x", "a", return_results=True)) == ["A"]

    def test_asyncio(self, flow: Flow) -> None:
        """On the caller's own event loop, with asynchronous inputs."""

        async def inputs() -> AsyncIterator[str]:
            for text in "abcde":
                await asyncio.sleep(0)
                yield text

        async def ask() -> list[str]:
            client = Client(protocol=str(flow.protocol), host="127.0.0.1", port=flow.port, asyncio=True)
            found = [response async for response in client.post("/x", inputs, request_size=2)]
            with pytest.raises(FlowError):
                async for _ in client.post("/missing", "a"):
                    pass
            await asyncio.to_thread(client.close)
            return texts(found)

        assert asyncio.run(ask()) == list("ABCDE")

    def test_flow_post(self, flow: Flow) -> None:
        """A flow that is started is its own client."""
        assert texts(flow.post("/x", Document(text="a"), return_results=True)) == ["A"]
        assert texts(flow.search("a", return_results=True)) == ["A"]


class TestConnecting:
    @pytest.mark.parametrize("protocol", ["grpc", "http", "websocket"])
    def test_nobody_there(self, protocol: str) -> None:
        """Where nobody listens, one line says so."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            with pytest.raises(Unavailable, match=f"cannot connect to 127.0.0.1:{port}"):
                Client(protocol=protocol, host="127.0.0.1", port=port).post("/x")

    def test_again(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A server that comes back is found again; connecting is told."""
        flow = Flow(protocol="websocket", host="127.0.0.1").add(uses=Many)
        with flow:
            port = flow.port
            client = Client(protocol="websocket", host="127.0.0.1", port=port)
            client.post("/x", "a")
        assert f"connected to the gateway at 127.0.0.1:{port}!" in capsys.readouterr().err
        with pytest.raises(Unavailable):
            client.post("/x", "a")
        with Flow(protocol="websocket", host="127.0.0.1", port=port).add(uses=Many):
            client.post("/x", "a")
            client.close()

    def test_connection_that_is_lost(self) -> None:
        """What is sent on a WebSocket that has just closed is answered as everywhere: by one of our errors."""
        from tests.support import request, wait_for
        from twisted_flow.channel.websocket import WebSocketChannel

        with Flow(protocol="websocket", host="127.0.0.1") as flow:
            channel = WebSocketChannel("127.0.0.1", flow.port)
            exchange = wait_for(channel.exchange)
            assert wait_for(lambda: exchange.send(request(Document("a")))).docs.texts == ["a"]
            wait_for(lambda: exchange.sendClose(1000))
            with pytest.raises(Unavailable, match="was lost"):
                wait_for(lambda: exchange.send(request()))

    def test_by_url(self) -> None:
        """``host`` may be a URL."""
        client = Client(host="http://flow.invalid:1234")
        assert (client.protocol, client.host, client.port) == ("http", "flow.invalid", 1234)
        assert Client(host="flow.invalid:1234").host == "flow.invalid"
        assert Client(host="flow.invalid:1234").port == 1234
        assert Client(host="::1", port=5).host == "::1"

    def test_callbacks_that_nobody_would_await(self) -> None:
        """An ``async def`` is no callback, and that is said before anything is sent."""

        async def done(response: Any) -> None:
            pass

        for name in ("on_done", "on_error", "on_always"):
            with pytest.raises(TypeError, match=f"{name} is an async def"):
                Client(port=1).post("/", "a", **{name: done})

    @pytest.mark.parametrize(
        "wrong", [{"protocol": "grcp", "port": 1}, {"port": 70000}, {"port": "x"}, {"host": "ftp://a:1"}]
    )
    def test_mistakes(self, wrong: dict[str, Any]) -> None:
        """What names no server is told in one line."""
        with pytest.raises(ConfigurationError):
            Client(**wrong)


class TestAsJina:
    """What a program of Jina 2 does with a client."""

    def test_response(self, client: Client) -> None:
        """``response.data.docs``, ``.dict()`` and ``.json()``."""
        (response,) = client.post("/x", Document("a", id="d"), return_results=True)
        assert response.data.docs is response.docs
        told = response.dict()
        assert sorted(told) == ["data", "header", "parameters", "request_id", "routes", "status"]
        assert told["data"]["docs"][0]["text"] == "A"
        assert json.loads(response.json())["header"] == {"execEndpoint": "/x", "targetPeapod": "", "noPropagate": False}

    def test_all_in_one_request(self, client: Client) -> None:
        """``request_size=0``."""
        (response,) = client.post("/x", ["a"] * 250, request_size=0, return_results=True)
        assert len(response.docs) == 250

    def test_a_callback_that_raises(self, client: Client) -> None:
        """Under ``continue_on_error`` it is told in the log, and the rest goes on; else it ends the call."""
        seen: list[str] = []

        def done(response: Any) -> None:
            seen.append(response.docs[0].text)
            raise ValueError("as asked")

        with Log() as lines:
            client.post("/x", ["a", "b"], done, request_size=1, continue_on_error=True)
        assert sorted(seen) == ["A", "B"]
        assert sum("a callback of the client raised" in line for line in lines) == 2
        with pytest.raises(ValueError, match="as asked"):
            client.post("/x", "a", done)

    def test_names(self) -> None:
        """A port as a text, a protocol in capitals, and no port at all."""
        named = Client(protocol="HTTP", port_expose="12346")  # type: ignore[call-overload]
        assert (named.protocol, named.port) == ("http", 12346)
        assert Client().port == 12345
