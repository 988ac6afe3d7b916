"""What was written is what is meant: or it is said, in one line, why not."""

from __future__ import annotations

import asyncio
import functools
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pydantic
import pytest

from tests.support import HTTP, TIMEOUT, Server, post, serving
from twisted_flow import Client, ConfigurationError, DocumentArray, Executor, Flow, Limits, requests
from twisted_flow.document import Document
from twisted_flow.document.document import Graph
from twisted_flow.document.merge import merge
from twisted_flow.errors import ExecutorError, NotFound, Unavailable
from twisted_flow.executor.component import component
from twisted_flow.executor.spec import ExecutorSpec

TWISTD = str(pathlib.Path(sys.executable).with_name("twistd"))


class Inner(pydantic.BaseModel):
    n: int


class Model(pydantic.BaseModel):
    k: int = pydantic.Field(ge=1)
    inner: Inner | None = None


@attrs.define
class Asked:
    k: int
    lang: str = "en"


class Typed(Executor):
    """Takes models."""

    @requests(on="/model")
    async def model(self, docs: DocumentArray, parameters: Model) -> None:
        docs[0].text = f"{type(parameters).__name__} {parameters.k}"

    @requests(on="/attrs")
    def attrs(self, docs: DocumentArray, parameters: Asked | None = None) -> None:
        docs[0].text = f"{type(parameters).__name__} {parameters.lang if parameters else ''}"


def test_models() -> None:
    """A method gets an object of the type that it asks for; what makes none is the caller's mistake, with the place."""
    with Flow(protocol="http", host="127.0.0.1").add(uses=Typed) as flow:
        assert flow.post("/model", "a", parameters={"k": "3"}, return_results=True)[0].docs[0].text == "Model 3"
        assert flow.post("/attrs", "a", parameters={"k": 3}, return_results=True)[0].docs[0].text == "Asked en"
        for endpoint, parameters, place in (
            ("/model", {"k": "zz"}, "/parameters/k"),
            ("/model", {"k": 0}, "/parameters/k"),
            ("/model", {"k": 1, "inner": {"n": []}}, "/parameters/inner/n"),
            ("/model", {}, "/parameters/k"),
            ("/attrs", {"k": "zz"}, "/parameters/k"),
        ):
            with pytest.raises(Exception, match=place) as wrong:
                flow.post(endpoint, "a", parameters=parameters)
            assert type(wrong.value).__name__ == "ValidationError"


def test_models_are_described() -> None:
    """Their schemas stand in the OpenAPI document, with those that they refer to."""
    from twisted_flow.gateway.http.openapi import openapi
    from twisted_flow.gateway.http.routes import HTTPSettings, Route, flow_routes

    settings = HTTPSettings(exposed=(Route(path="/model", endpoint="/model"), Route(path="/attrs", endpoint="/attrs")))
    made = openapi(settings, flow_routes(settings, component(ExecutorSpec(uses=Typed)).endpoints))
    content = made["paths"]["/model"]["post"]["requestBody"]["content"]["application/json"]
    assert content["schema"]["properties"]["parameters"] == {"$ref": "#/components/schemas/Model"}
    assert made["components"]["schemas"]["Model"]["properties"]["k"]["minimum"] == 1
    assert "Inner" in made["components"]["schemas"]
    assert content["example"]["parameters"]["k"] == 1
    assert made["components"]["schemas"]["Asked"]["properties"].keys() == {"k", "lang"}


@pytest.mark.parametrize("kind", [int, str, list[int], "Model | Asked", tuple, Executor])
def test_what_parameters_cannot_be(kind: Any) -> None:
    """It is refused before anything is served."""

    def method(self: Any, docs: Any, parameters: Any) -> None: ...

    method.__annotations__["parameters"] = eval(kind) if isinstance(kind, str) else kind
    with pytest.raises(ConfigurationError, match="f: parameters are a dict, or"):
        component(ExecutorSpec(uses=type("E", (Executor,), {"f": requests(method)})))


@pytest.mark.parametrize("kind", [dict, dict[str, Any], Mapping[str, Any], Any, None, object, "dict | None"])
def test_any_parameters(kind: Any) -> None:
    """A mapping of any kind says nothing of what is in it."""

    def method(self: Any, docs: Any, parameters: Any) -> None: ...

    method.__annotations__["parameters"] = eval(kind) if isinstance(kind, str) else kind
    made = component(ExecutorSpec(uses=type("E", (Executor,), {"f": requests(method)})))
    assert made.endpoints["/default"].parameters is None


def logged(method: Any) -> Any:
    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return wrapper


class Decorated(Executor):
    """Marked above and below a decorator, and above others of Python's own."""

    @requests(on="/above")
    @logged
    def above(self, docs: DocumentArray) -> None:
        docs[0].text = "above"

    @logged
    @requests(on="/below")
    def below(self, docs: DocumentArray) -> None:
        docs[0].text = "below"

    @requests
    @classmethod
    def of_class(cls, docs: DocumentArray) -> None:
        docs[0].text = cls.__name__

    @requests(on="/static")
    @staticmethod
    def static(docs: DocumentArray) -> None:
        docs[0].text = "static"


def test_decorators() -> None:
    """Wherever the mark stands, it is found."""
    with Flow(protocol="http", host="127.0.0.1").add(uses=Decorated) as flow:
        for endpoint, said in (("/above", "above"), ("/below", "below"), ("/x", "Decorated"), ("/static", "static")):
            assert flow.post(endpoint, "a", return_results=True)[0].docs[0].text == said


def test_what_is_passed_on_to_the_base() -> None:
    """Arguments that a class does not know and passes on are nobody's mistake."""

    class Derived(Executor):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)

        @requests
        def f(self, docs: DocumentArray) -> None: ...

    with Flow(protocol="http", host="127.0.0.1").add(uses=Derived, uses_with={"model": "x"}):
        pass


@pytest.mark.parametrize(
    ("left", "right"),
    [({"a": [1, 0]}, {"a": [True, 0]}), ({"a": {"b": 1}}, {"a": {"b": 1.0}}), ({"a": 0}, {"a": False})],
)
def test_contents_that_are_alike_to_python_alone(left: dict[str, Any], right: dict[str, Any]) -> None:
    """A join sees that they differ."""
    before = Document(id="a")
    branches = [[Document(id="a", graph=Graph(edge_features=each))] for each in (left, right)]
    conflicts: list[tuple[str, str]] = []
    merged = merge([before], branches, conflicts)
    assert conflicts == [("a", "content")]
    assert merged[0].graph is not None
    assert repr(merged[0].graph.edge_features) == repr(left)


class Stashes(Executor):
    """Leaves in parameters what no message can have."""

    @requests(on="/x")
    def x(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        parameters["v"] = {"range": range(3), "months": np.timedelta64(5, "M"), "odd": Odd(), "text": "\udce9"}[
            docs[0].text or ""
        ]


class Odd:
    """Raises whatever is asked of it."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("protocol", ["http", "grpc", "websocket"])
def test_parameters_that_cannot_go_back(protocol: str) -> None:
    """The answer is an error that names the place, the same on each protocol; it always is an answer."""
    with Flow(protocol=protocol, host="127.0.0.1").add(uses=Stashes) as flow:
        for what in ("range", "months", "text"):
            with pytest.raises(ExecutorError, match="the answer cannot be encoded: /parameters/v: "):
                flow.post("/x", what, timeout=TIMEOUT)
        with pytest.raises(ExecutorError, match="the answer cannot be encoded"):
            flow.post("/x", "odd", timeout=TIMEOUT)


@pytest.mark.parametrize("protocol", ["http", "grpc", "websocket"])
def test_a_client_that_is_closed_under_way(protocol: str) -> None:
    """Who waits in another thread is told at once."""
    import threading
    import time

    class Slow(Executor):
        @requests
        async def slow(self, docs: DocumentArray) -> None:
            began.set()
            await asyncio.sleep(20)

    began = threading.Event()
    with Flow(protocol=protocol, host="127.0.0.1", limits=Limits(drain_grace=0)).add(uses=Slow) as flow:
        client, told = Client(protocol=protocol, host="127.0.0.1", port=flow.port), []
        asking = threading.Thread(target=lambda: client.post("/x", "a", on_error=told.append))
        at = time.monotonic()
        asking.start()
        assert began.wait(TIMEOUT)
        client.close()
        asking.join(TIMEOUT)
        assert time.monotonic() - at < 15
        assert [type(each) for each in told] == [Unavailable]


def test_marks_on_what_is_no_method() -> None:
    """One line says so, where it stands."""
    with pytest.raises(TypeError, match="@requests marks methods, not a property"):
        requests(on="/f")(property(lambda self: None))


class TestEndpoints:
    def executor(self) -> type[Executor]:
        class Searches(Executor):
            @requests(on="/search")
            async def search(self, docs: DocumentArray) -> None: ...

            @requests(on="query")
            async def query(self, docs: DocumentArray) -> None: ...

        return Searches

    @pytest.mark.parametrize("protocol", ["http", "grpc", "websocket"])
    def test_strict(self, protocol: str) -> None:
        """An endpoint that nobody has is told so, with the nearest; by default documents pass through."""
        with Flow(protocol=protocol, host="127.0.0.1", strict=True).add(uses=self.executor()) as flow:
            assert flow.post("/search", "a", return_results=True)
            with pytest.raises(NotFound, match="/serach.*/search"):
                flow.post("/serach", "a")
        with Flow(protocol=protocol, host="127.0.0.1").add(uses=self.executor()) as flow:
            assert flow.post("/serach", "a", return_results=True)

    def test_told_on_the_command_line(self, tmp_path: pathlib.Path) -> None:
        """Names that look like mistakes are a line each, in ``--check`` and at the start."""
        (tmp_path / "e.py").write_text(
            "from twisted_flow import Executor, requests\nclass E(Executor):\n"
            "    @requests(on='/search')\n    def search(self, docs): pass\n"
            "    @requests(on='query')\n    def query(self, docs): pass\n"
        )
        options = ["--uses=e.py:E", "--expose-endpoint=/serach", "--port=0", "--host=127.0.0.1"]
        done = subprocess.run(
            [TWISTD, "flow", *options, "--check"], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT
        )
        with serving(*options[:2], "--strict", cwd=tmp_path) as server:
            for told in (done.stdout, "\n".join(server.lines)):
                assert "the endpoint 'query' does not begin with a slash" in told
                assert "no executor has the endpoint '/serach', which is exposed at /serach" in told


class TestCommandLine:
    def run(self, *options: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TWISTD, "flow", *options], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    def test_check_tries_the_ports(self, tmp_path: pathlib.Path) -> None:
        """An address that is not ours, or a port in use, cannot be served."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for protocol in ("http", "grpc"):
                for options in (("--host=1.2.3.4", "--port=0"), ("--host=127.0.0.1", f"--port={port}")):
                    done = self.run("--check", f"--protocol={protocol}", *options, folder=tmp_path)
                    assert done.returncode == 1
                    assert done.stderr.startswith("twistd flow: cannot listen on ")
        done = self.run("--check", "--host=127.0.0.1", f"--port={port}", folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")

    def test_version_and_help(self, tmp_path: pathlib.Path) -> None:
        """They are ours, and name all that there is."""
        assert self.run("--version", folder=tmp_path).stdout.startswith("twisted_flow ")
        told = " ".join(self.run("--help", folder=tmp_path).stdout.split())
        for name in ("FILE.py:Class", "package.module:Class", "--list", "--strict"):
            assert name in told

    def test_two_signals_at_once(self, tmp_path: pathlib.Path) -> None:
        """A supervisor may send SIGTERM twice: nothing is said of it."""
        import signal

        for _ in range(3):
            server = Server("--host=127.0.0.1", "--port=0", cwd=tmp_path)
            server.wait_until_ready()
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGTERM)
            server.wait()
            assert not any("Traceback" in line or "NotRunning" in line for line in server.lines)


POOL = """
import multiprocessing
from twisted_flow import Executor, requests
WHERE = {where!r}
def double(text): return text * 2 + WHERE
class P(Executor):
    @requests
    def f(self, docs):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            for document, text in zip(docs, pool.map(double, docs.texts)): document.text = text
"""


def test_files_whose_functions_go_to_other_processes(tmp_path: pathlib.Path) -> None:
    """A file is imported by a name that a child can import too; two files of one name do not clash."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "my-pool.py").write_text(POOL.format(where="0"))
    (tmp_path / "a" / "model.py").write_text(POOL.format(where="a"))
    (tmp_path / "b" / "model.py").write_text(POOL.format(where="b"))
    (tmp_path / "json.py").write_text(POOL.format(where="j").replace("class P", "class J"))
    uses = ["my-pool.py:P", "a/model.py:P", "b/model.py:P"]
    with serving("--protocol=http", *(f"--uses={each}" for each in uses), cwd=tmp_path) as server:
        from twisted_flow import Client

        with Client(protocol="http", host="127.0.0.1", port=server.port) as client:  # type: ignore[attr-defined]
            (response,) = client.post("/x", "t", return_results=True, timeout=TIMEOUT)
        assert response.docs[0].text == "tt0tt0att0tt0ab"


def test_systemd_sockets_without_names(tmp_path: pathlib.Path) -> None:
    """Descriptors that are handed over without names are found by their number."""
    with socket.create_server(("127.0.0.1", 0)) as handed:
        program = (
            "import os, sys\nos.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.environ['LISTEN_FDS'] = '1'\nos.environ.pop('LISTEN_FDNAMES', None)\n"
            f"os.dup2({handed.fileno()}, 3, inheritable=True)\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, TWISTD, "-n", "--pidfile=", "flow", "--listen=systemd:domain=INET:index=0"],
            cwd=tmp_path, pass_fds=(handed.fileno(),), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert any("ready and listening" in line for line in process.stdout)
            with socket.create_connection(handed.getsockname(), timeout=TIMEOUT) as client:
                client.sendall(post("/post", {"data": ["a"], "execEndpoint": "/x"}))
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT)
        assert process.returncode in (0, -15)  # twistd ends as the signal would have it


def test_a_flow_without_debug_endpoints_is_its_own_client() -> None:
    """Over HTTP it asks by the endpoint's own route, where there is one; else it says what to do."""
    with Flow(protocol="http", host="127.0.0.1", no_debug_endpoints=True).add(uses=Decorated) as flow:
        assert flow.post("/search", "a", return_results=True)[0].docs[0].text == "Decorated"
        with pytest.raises(NotFound, match="no route"):
            flow.post("/above", "a")


def test_http_where_it_is_off() -> None:
    """A gateway that has no HTTP (any more) says that it may come back."""
    from tests.websockets import WebSocket
    from twisted_flow.gateway.http.routes import HTTPSettings, without_routes

    settings = without_routes(HTTPSettings())
    server = WebSocket(**{name: getattr(settings, name) for name in settings.__struct_fields__ if name != "limits"})
    (reply,) = server.send(post("/post", {"data": []}))
    assert (reply.status, reply.json["title"], reply.json["retryable"]) == (503, "Unavailable", True)
    assert HTTP().send(post("/nope", {"data": []}))[0].status == 404
