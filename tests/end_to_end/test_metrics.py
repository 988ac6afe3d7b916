"""The numbers that a flow tells, and its access log: as an operator sees them, over real sockets."""

from __future__ import annotations

import json
import pathlib
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
import websockets.sync.client
from prometheus_client.parser import text_string_to_metric_families

from tests.grpc_calls import proto
from tests.support import ROOT, TIMEOUT, connect, free_port, post, serving
from twisted_flow import Client, Flow
from twisted_flow.assembly.metrics import NAMES
from twisted_flow.errors import ConfigurationError
from twisted_flow.security.tokens import new_token

EXECUTORS = """
import os, time, asyncio
from twisted_flow import Document, Executor, Reject, dynamic_batching, requests

class Work(Executor):
    @requests(on="/quick")
    async def quick(self, docs): pass

    @requests(on="/slow")
    def slow(self, docs): time.sleep(0.2)

    @requests(on="/refuse")
    async def refuse(self, docs): raise Reject("Conflict", "no")

    @requests(on="/die")
    def die(self, docs): os._exit(3)

    @requests(on="/parts")
    async def parts(self, docs):
        for number in range(3): yield Document(str(number))

    @requests(on="/hang")
    async def hang(self, docs): await asyncio.sleep(60)

    @requests(on="/endless")
    async def endless(self, docs):
        while True:
            yield Document("again")
            await asyncio.sleep(0.01)

class Shared(Executor):
    @dynamic_batching(preferred_batch_size=4, timeout=50)
    @requests(on="/shared")
    async def shared(self, docs): pass
"""
ALL = ("--protocol=http", "--protocol=websocket", "--protocol=grpc", "--uses=work.py:Work", "--uses=work.py:Shared")
PROTOCOLS = ("http", "websocket", "grpc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made = tmp_path_factory.mktemp("metrics")
    (made / "work.py").write_text(EXECUTORS)
    return made


@pytest.fixture
def port(folder: pathlib.Path) -> Iterator[int]:
    with serving(*ALL, cwd=folder) as server:
        yield server.port  # type: ignore[attr-defined]


class Told:
    """What ``/metrics`` tells."""

    def __init__(self, port: int, **headers: str) -> None:
        reply = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers)
        assert reply.status_code == 200
        self.text, self.type = reply.text, reply.headers["content-type"]
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples called so, with these labels."""
        samples = [sample for family in self.families.values() for sample in family.samples if sample.name == name]
        return sum(each.value for each in samples if labels.items() <= each.labels.items())


def ask(port: int, protocol: str, endpoint: str, times: int = 1, **options: Any) -> None:
    with Client(protocol=protocol, port=port) as client:
        for _ in range(times):
            client.post(endpoint, ["a"], on_error=lambda _: None, **options)


def test_every_name(port: int) -> None:
    """All of them are there from the start, or as soon as there is anything to count; nothing else of ours is."""
    for protocol in PROTOCOLS:
        ask(port, protocol, "/quick")
    ours = {name for name in Told(port).families if name.startswith("twisted_flow_")}
    assert ours == NAMES.keys()
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "python_info"} <= Told(port).families.keys()


def test_requests(port: int) -> None:
    """By protocol, endpoint and status; unknown endpoints are one, however many callers think of."""
    for protocol in PROTOCOLS:
        ask(port, protocol, "/quick", 3)
        ask(port, protocol, "/refuse", 2)
        for number in range(50):
            ask(port, protocol, f"/unknown{number}")
    told = Told(port)
    for protocol in PROTOCOLS:
        assert told("twisted_flow_requests_total", protocol=protocol, endpoint="/quick", status="ok") == 3
        assert told("twisted_flow_requests_total", protocol=protocol, endpoint="/refuse", status="Conflict") == 2
        assert told("twisted_flow_requests_total", protocol=protocol, endpoint="other", status="ok") == 50
        assert told("twisted_flow_request_seconds_count", protocol=protocol, endpoint="/quick") == 3
    assert "unknown" not in told.text
    assert told("twisted_flow_executor_seconds_count", executor="executor0", endpoint="/quick") == 9
    assert told("twisted_flow_received_bytes_total") > 1000
    assert told("twisted_flow_sent_bytes_total") > 1000
    assert told("twisted_flow_loop_lag_seconds_count") >= 0


def test_what_is_refused(port: int) -> None:
    """What never became a request, by why."""
    for body, path in ((b"{", "/search"), (b"{}", "/nowhere"), (b'{"data":5}', "/search")):
        httpx.post(f"http://127.0.0.1:{port}{path}", content=body, headers={"content-type": "application/json"})
    with connect(port) as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        client.recv(1000)
    told = Told(port)
    assert told("twisted_flow_refused_total", reason="BadRequest") == 2
    assert told("twisted_flow_refused_total", reason="NotFound") == 1
    assert told("twisted_flow_refused_total", reason="ValidationError") == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_while_they_are_under_way(port: int, protocol: str) -> None:
    """In flight, waiting, connected; and afterwards no more. Those that waited have their times."""
    asking = threading.Thread(target=ask, args=(port, protocol, "/slow"))
    with Client(protocol=protocol, port=port, asyncio=False) as client:
        asking.start()
        threads = [threading.Thread(target=ask, args=(port, protocol, "/slow")) for _ in range(3)]
        for each in threads:
            each.start()
        seen = 0.0
        while any(each.is_alive() for each in threads):
            told = Told(port)
            seen = max(seen, told("twisted_flow_in_flight", protocol=protocol))
            assert told("twisted_flow_connections", protocol=protocol) >= 0
        asking.join(TIMEOUT)
        assert seen >= 2
        client.post("/quick", ["a"])
        assert Told(port)("twisted_flow_connections", protocol=protocol) >= 1
    assert Told(port)("twisted_flow_in_flight", protocol=protocol) == 0
    assert Told(port)("twisted_flow_executor_seconds_sum", endpoint="/slow") >= 0.8


def test_parts_and_cancels(port: int) -> None:
    """Callers that go away are counted as such, whatever they have asked over."""
    body = {"requestId": "r", "data": ["a"], "execEndpoint": "/hang"}
    for protocol in PROTOCOLS:
        with Client(protocol=protocol, port=port) as client:
            assert len(list(client.stream("/parts", ["a"]))) == 3

    def in_flight(protocol: str) -> None:
        while not Told(port)("twisted_flow_in_flight", protocol=protocol):
            pass

    with connect(port) as client:
        client.sendall(post("/post", body))
        in_flight("http")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/") as talking:
        talking.send(json.dumps(body))
        in_flight("websocket")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        message = proto("/hang", "a").SerializeToString()
        asked = channel.unary_unary("/twisted_flow.Flow/Post").future(message, timeout=TIMEOUT)
        in_flight("grpc")
        asked.cancel()
        while Told(port)("twisted_flow_cancelled_total") < 3:
            pass
    told = Told(port)
    assert told("twisted_flow_first_part_seconds_count") == 3
    for protocol in PROTOCOLS:
        assert told("twisted_flow_requests_total", protocol=protocol, endpoint="/parts", status="ok") == 1
        assert told("twisted_flow_requests_total", protocol=protocol, endpoint="/hang", status="Cancelled") == 1
        assert told("twisted_flow_in_flight", protocol=protocol) == 0


@pytest.mark.parametrize("front", ["lane", "grpcio"])
def test_streams_whose_readers_leave(folder: pathlib.Path, front: str) -> None:
    """Are counted once, as cancelled, on every protocol; and nothing of them is in flight any more."""
    protocols = PROTOCOLS if front == "lane" else ("grpc",)
    own, port = free_port(), free_port()
    options = (f"--grpc={front}", f"--metrics-port={own}", f"--port={port}", "--uses=work.py:Work")
    with serving(*(f"--protocol={each}" for each in protocols), *options, cwd=folder):
        for protocol in protocols:
            with Client(protocol=protocol, port=port) as client:
                stream = client.stream("/endless", ["a"])
                assert [next(iter(stream)).text for _ in range(3)] == ["again"] * 3
                stream.cancel()
        due = time.monotonic() + TIMEOUT
        while (told := Told(own))("twisted_flow_cancelled_total") < len(protocols):
            assert time.monotonic() < due
        for protocol in protocols:
            assert told("twisted_flow_requests_total", protocol=protocol, endpoint="/endless", status="Cancelled") == 1
            assert told("twisted_flow_requests_total", protocol=protocol, endpoint="/endless") == 1
            assert told("twisted_flow_in_flight", protocol=protocol) == 0


def test_batches_processes_and_replicas(folder: pathlib.Path) -> None:
    """Right with processes and copies of them: the parent counts. Crashes are counted."""
    options = ("--protocol=http", "--uses=work.py:Work", "--engine=process", "--replicas=2")
    with serving(*options, cwd=folder) as server:
        port = server.port  # type: ignore[attr-defined]
        ask(port, "http", "/slow", 4)
        told = Told(port)
        assert told("twisted_flow_executor_seconds_count", executor="executor0", endpoint="/slow") == 4
        assert told("twisted_flow_executor_seconds_sum", executor="executor0", endpoint="/slow") >= 0.8
        ask(port, "http", "/die")
        told = Told(port)
        assert told("twisted_flow_restarts_total", executor="executor0") == 1
        assert told("twisted_flow_requests_total", endpoint="/die", status="Unavailable") == 1
    with serving("--protocol=http", "--uses=work.py:Shared", cwd=folder) as server:
        port = server.port  # type: ignore[attr-defined]
        with Client(protocol="http", port=port) as client:
            client.post("/shared", ["a"] * 8, request_size=1)
        assert Told(port)("twisted_flow_batch_documents_sum", executor="executor0") == 8
        assert Told(port)("twisted_flow_batch_documents_count", executor="executor0") < 8


def test_its_format_is_negotiated(port: int) -> None:
    assert Told(port).type.startswith("text/plain; version=0.0.4")
    reply = httpx.get(
        f"http://127.0.0.1:{port}/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert reply.text.endswith("# EOF\n")


class TestWhere:
    def test_behind_authentication(self, folder: pathlib.Path) -> None:
        """But for a port of its own, at this machine's own address."""
        token, line = new_token("ann")
        (folder / "tokens").write_text(line)
        own = free_port()
        with serving("--protocol=http", "--tokens=tokens", cwd=folder) as server:
            url = f"http://127.0.0.1:{server.port}/metrics"  # type: ignore[attr-defined]
            assert httpx.get(url).status_code == 401
            assert httpx.get(url, headers={"authorization": f"Bearer {token}"}).status_code == 200
        with serving("--protocol=grpc", "--tokens=tokens", f"--metrics-port={own}", cwd=folder) as server:
            server.wait_for_line(f"Metrics:.*http://127.0.0.1:{own}/metrics")
            assert Told(own)("twisted_flow_connections", protocol="grpc") == 0
            assert httpx.get(f"http://127.0.0.1:{own}/status").status_code != 200
            assert httpx.get(f"http://127.0.0.1:{own}/livez").status_code == 200
        options = ("--tokens=tokens", f"--metrics-port={own}", "--metrics-host=0.0.0.0")
        with serving("--protocol=http", *options, cwd=folder) as server:
            assert httpx.get(f"http://127.0.0.1:{own}/metrics").status_code == 401
            assert httpx.get(f"http://127.0.0.1:{server.port}/metrics").status_code == 401  # type: ignore[attr-defined]

    def test_none(self, folder: pathlib.Path) -> None:
        with serving("--protocol=http", "--no-metrics", cwd=folder) as server:
            assert httpx.get(f"http://127.0.0.1:{server.port}/metrics").status_code == 404  # type: ignore[attr-defined]

    def test_a_flow_that_starts_again(self) -> None:
        own = free_port()
        flow = Flow(protocol="http", metrics_port=own)
        for _ in range(2):
            with flow:
                Told(own)
                flow.protocol = "websocket"
                Told(own)
                flow.protocol = "http"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"metrics": False, "metrics_port": 1}, "metrics_port= is for metrics"),
            ({"access_log": "/nowhere/x"}, "access_log='/nowhere/x': No such file"),
            ({"access_log": "x", "access_log_format": "xml"}, "access_log_format='xml': it is text or json"),
        ],
    )
    def test_mistakes(self, arguments: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            Flow(protocol="http", **arguments).start()


class TestAccessLog:
    KEYS = ["time", "protocol", "peer", "principal", "endpoint", "request_id", "trace_id", "documents", "status",
            "milliseconds", "bytes"]  # fmt: skip

    def lines(self, file: pathlib.Path, most: int) -> list[dict[str, Any]]:
        while True:
            found = [json.loads(line) for line in file.read_text().splitlines()]
            if len(found) >= most:
                return found

    def test_as_json(self, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
        """A line for each request of every protocol, answered or refused, with who asked and where from."""
        (tmp_path / "work.py").write_text(EXECUTORS)
        token, line = new_token("ann")
        (tmp_path / "tokens").write_text(line)
        options = ("--access-log=access.log", "--access-log-format=json", "--tokens=tokens")
        with serving(*ALL, *options, cwd=tmp_path) as server:
            port = server.port  # type: ignore[attr-defined]
            for protocol in PROTOCOLS:
                with Client(protocol=protocol, port=port, token=token) as client:
                    client.post("/quick", ["a"] * 3)
                    list(client.stream("/parts", ["a"]))
            httpx.post(f"http://127.0.0.1:{port}/search", json={}, headers={"x-request-id": "mine"})
            trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            headers = {"authorization": f"Bearer {token}", "traceparent": trace, "x-request-id": "other"}
            httpx.post(f"http://127.0.0.1:{port}/search", json={"data": ["x"]}, headers=headers)
            told = self.lines(tmp_path / "access.log", 8)
        assert all(list(each) == self.KEYS for each in told)
        for protocol in PROTOCOLS:
            first, second = [each for each in told if each["protocol"] == protocol][:2]
            assert (first["endpoint"], first["documents"], first["status"], first["principal"]) == (
                "/quick",
                3,
                "ok",
                "ann",
            )
            assert (second["endpoint"], second["documents"], second["status"]) == ("/parts", 3, "ok")
            assert re.fullmatch(r"127\.0\.0\.1:\d+", first["peer"])
            assert first["milliseconds"] > 0
            assert first["bytes"] > 100
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", first["time"])
        refused, traced = told[-2:]
        assert (refused["status"], refused["principal"], refused["endpoint"]) == ("Unauthenticated", None, "")
        assert (traced["trace_id"], traced["request_id"]) == ("0af7651916cd43dd8448eb211c80319c", "other")
        assert token not in (tmp_path / "access.log").read_text()

    def test_as_text_on_standard_output(self, folder: pathlib.Path) -> None:
        """Eleven words, whatever callers put in."""
        with serving("--protocol=http", "--uses=work.py:Work", "--access-log=-", cwd=folder) as server:
            url = f"http://127.0.0.1:{server.port}/post"  # type: ignore[attr-defined]
            httpx.post(url, json={"data": ["x"], "execEndpoint": "/a b\n\x1b[2J"})
            httpx.post(url, json={"data": ["x"], "execEndpoint": "/quick", "requestId": "r é"})
            first = server.wait_for_line(r"^\S+Z http 127\S+ - (\S+) \S+ - 1 ok \S+ \d+$")
            assert first[1] == r"/a\x20b\n\x1b[2J"
            server.wait_for_line(r"^\S+Z http 127\S+ - /quick r\\x20é - 1 ok \S+ \d+$")

    def test_it_is_begun_anew(self, tmp_path: pathlib.Path) -> None:
        """After a program that rotates logs has moved it, at SIGHUP and SIGUSR1."""
        with serving("--protocol=http", "--access-log=access.log", cwd=tmp_path) as server:
            url, file = f"http://127.0.0.1:{server.port}/search", tmp_path / "access.log"  # type: ignore[attr-defined]
            for number, name in enumerate(("SIGHUP", "SIGUSR1")):
                httpx.post(url, json={"data": ["x"]})
                while not file.read_text():
                    pass
                file.rename(tmp_path / f"old{number}")
                server.process.send_signal(getattr(signal, name))
                while not file.exists():
                    pass
            httpx.post(url, json={"data": ["x"]})
            server.stop()
            assert len(file.read_text().splitlines()) == 1


def test_the_dashboard_asks_for_what_there_is() -> None:
    """Each query of the Grafana dashboard names metrics and labels that are told."""
    dashboard = json.loads((ROOT / "contrib/grafana/twisted-flow.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(queries) >= 10
    suffixes = ("", "_total", "_bucket", "_sum", "_count")
    known = {f"{name}{suffix}" for name in NAMES for suffix in suffixes} | {
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    }
    named = {name for query in queries for name in re.findall(r"\b(?:twisted_flow|process)_\w+", query)}
    assert named <= known
    covered = {name for name in NAMES if any(each.startswith(name) for each in named)}
    assert covered == NAMES.keys()
    labels = {
        label
        for query in queries
        for group in re.findall(r"by \(([^)]*)\)", query)
        for label in re.split(r",\s*", group)
    }
    assert labels <= {"le", "protocol", "endpoint", "status", "executor", "reason", "instance"}
