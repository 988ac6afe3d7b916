"""Flows that have flows elsewhere as executors: real servers, over each protocol."""

from __future__ import annotations

import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.certificates import Certificates
from tests.support import TIMEOUT, Log, Server, free_port, serving
from twisted_flow import Document, DocumentArray, Flow, FlowError
from twisted_flow.errors import ConfigurationError, DeadlineExceeded, ExecutorError, PayloadTooLarge, Unavailable
from twisted_flow.security.tokens import new_token
from twisted_flow.testing import MemoryFlow

FAR = """
import asyncio, os, time
from twisted_flow import Executor, Reject, requests

class Far(Executor):
    @requests(on="/up", idempotent=True)
    def up(self, docs, parameters):
        for document in docs:
            document.text = document.text.upper()
            document.tags["pid"] = os.getpid()
        parameters["told"] = True

    @requests(on="/slow")
    async def slow(self, docs, context):
        print("began", context.request_id, round(context.deadline - time.monotonic(), 1), flush=True)
        try:
            await asyncio.sleep(60)
        finally:
            print("cancelled", context.request_id, flush=True)

    @requests(on="/fail")
    def fail(self):
        raise ValueError("secret")

    @requests(on="/reject")
    def reject(self):
        raise Reject("NotFound", "no such thing")
"""
SCHEMES = {"grpc": "grpc", "http": "http", "websocket": "ws"}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "far.py").write_text(FAR)
    return tmp_path


@pytest.fixture(params=sorted(SCHEMES))
def far(folder: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """A server of that flow, and its URL."""
    options = ["--uses=far.py:Far", "--max-body=100000"]
    with serving(f"--protocol={request.param}", f"--port={free_port()}", *options, cwd=folder) as server:
        yield server, f"{SCHEMES[request.param]}://127.0.0.1:{server.port}"  # type: ignore[attr-defined]


def shout(docs: DocumentArray) -> None:
    for document in docs:
        document.text += "!"


def near(url: str, **options: Any) -> Flow:
    """A flow whose second executor is the one at *url*."""
    return Flow().add(shout, name="shout").add(name="far", host=url, external=True, **options)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def engine_of(flow: MemoryFlow, name: str = "far") -> Any:
    return next(each for each in flow._service.engines if each.name == name)


def test_answers(far: tuple[Server, str]) -> None:
    """Its documents, parameters, endpoints and routes come back; its errors are this flow's."""
    with MemoryFlow(near(far[1]), codec="bytes") as flow:
        assert engine_of(flow).health == "ready"
        assert sorted(engine_of(flow).endpoints) == ["/fail", "/reject", "/slow", "/up"]
        (response,) = flow.post("/up", Document("a"), parameters={"x": 1}, return_results=True)
        assert response.docs.texts == ["A!"]
        assert response.parameters == {"x": 1, "told": True}
        assert [route.pod for route in response.routes] == ["gateway", "shout", "gateway", "executor0", "far"]
        assert flow.post("/nothing", Document("a"), return_results=True)[0].docs.texts == ["a!"]
        with pytest.raises(ExecutorError, match="executor 'executor0' raised ValueError") as raised:
            flow.post("/fail", Document("a"))
        assert "secret" not in str(raised.value)
        with pytest.raises(FlowError, match="no such thing") as rejected:
            flow.post("/reject", Document("a"))
        assert rejected.value.name == "NotFound"
        assert engine_of(flow).health == "ready"


def test_deadlines_and_cancelling(far: tuple[Server, str]) -> None:
    """The other flow is told how much time there is, and when nobody waits any more."""
    server, url = far
    with MemoryFlow(near(url)) as flow:
        with pytest.raises(DeadlineExceeded):
            flow.post("/slow", Document("a"), timeout=0.5)
        began = server.wait_for_line(r"began (\w+) (0\.\d)")
        assert float(began[2]) <= 0.5
        server.wait_for_line(f"cancelled {began[1]}")
    with MemoryFlow(near(url, timeout=0.5)) as flow:  # the executor's own
        with pytest.raises(DeadlineExceeded):
            flow.post("/slow", Document("a"), timeout=20)


def test_cancelled_here(far: tuple[Server, str]) -> None:
    """A caller who goes away before any deadline ends the work there."""
    import asyncio

    server, url = far

    async def ask() -> None:
        with MemoryFlow(near(url), asyncio=True) as flow:

            async def post() -> None:
                async for _ in flow.post("/slow", Document("a"), timeout=30):
                    pass

            task = asyncio.get_running_loop().create_task(post())
            began = await asyncio.to_thread(server.wait_for_line, r"began (\w+)")
            task.cancel()
            await asyncio.wait([task])
            await asyncio.to_thread(server.wait_for_line, f"cancelled {began[1]}")

    asyncio.run(ask())


@pytest.mark.parametrize("protocol", sorted(SCHEMES))
def test_more_than_one_connection_takes(folder: pathlib.Path, protocol: str) -> None:
    """However many slow requests come, what is cancelled is cancelled there, and the next one is answered."""
    import asyncio

    options = [f"--protocol={protocol}", f"--port={free_port()}", "--uses=far.py:Far", "--max-in-flight=8"]
    with serving(*options, cwd=folder) as server:

        async def ask(url: str) -> None:
            with MemoryFlow(near(url), asyncio=True) as flow:

                async def post(on: str) -> list[str]:
                    return [each.docs[0].text async for each in flow.post(on, Document("a"), timeout=60)]

                assert engine_of(flow).health == "ready"
                slow = [asyncio.create_task(post("/slow")) for _ in range(30)]
                await asyncio.to_thread(until, lambda: sum("began" in line for line in server.lines) >= 7)
                for task in slow:
                    task.cancel()
                await asyncio.wait(slow)
                assert await post("/up") == ["A!"]
                assert engine_of(flow).health == "ready"

        asyncio.run(ask(f"{SCHEMES[protocol]}://127.0.0.1:{server.port}"))  # type: ignore[attr-defined]
        began = {line.split()[-2] for line in server.lines if "began" in line}
        until(lambda: began == {line.split()[-1] for line in server.lines if "cancelled" in line})


def test_too_large(far: tuple[Server, str]) -> None:
    """A request that is more than the other flow takes fails, and it alone."""
    with MemoryFlow(near(far[1])) as flow:
        failed: list[BaseException] = []

        def slow() -> None:
            try:
                flow.post("/slow", Document("a"), timeout=3)
            except FlowError as error:
                failed.append(error)

        thread = threading.Thread(target=slow)
        thread.start()
        far[0].wait_for_line("began")
        with pytest.raises(PayloadTooLarge):
            flow.post("/up", Document("x" * 200_000))
        assert flow.post("/up", Document("a"), return_results=True)[0].docs.texts == ["A!"]
        assert engine_of(flow).health == "ready"
        assert failed == []
        thread.join(TIMEOUT)
        assert [type(each) for each in failed] == [DeadlineExceeded]


def test_two_addresses(folder: pathlib.Path) -> None:
    """One of two servers is killed under load: what may be repeated is answered by the other, and when it is there
    again it has its share.
    """
    ports = [free_port(), free_port()]
    options = ["--protocol=grpc", "--uses=far.py:Far"]
    with serving(*options, f"--port={ports[0]}", cwd=folder) as first:
        with serving(*options, f"--port={ports[1]}", cwd=folder) as second:
            url = ",".join(f"grpc://127.0.0.1:{port}" for port in ports)
            with MemoryFlow(near(url, retries=3)) as flow:

                def pids(number: int) -> set[int]:
                    found = flow.post(
                        "/up", (Document("a") for _ in range(number)), request_size=1, return_results=True
                    )
                    assert len(found) == number
                    return {int(each.docs[0].tags["pid"]) for each in found}

                both = {first.process.pid, second.process.pid}
                assert pids(50) == both
                killer = threading.Timer(0.1, first.process.send_signal, [signal.SIGKILL])
                killer.start()
                pids(3000)
                killer.join(TIMEOUT)
                until(lambda: first.process.poll() is not None)
                assert pids(20) == {second.process.pid}
                assert engine_of(flow).health == "ready"
                with serving(*options, f"--port={ports[0]}", cwd=folder) as again:
                    until(lambda: again.process.pid in pids(4))


def test_down_at_the_start(folder: pathlib.Path) -> None:
    """A flow whose executor is not there starts, and says so; it answers once that is there."""
    port = free_port()
    with Log() as lines, MemoryFlow(near(f"ws://127.0.0.1:{port}")) as flow:
        assert any(f"the flow at ws://127.0.0.1:{port} is failed" in line for line in lines)
        with pytest.raises(Unavailable, match="executor 'far'"):
            flow.post("/up", Document("a"))
        with serving("--protocol=websocket", f"--port={port}", "--uses=far.py:Far", cwd=folder):
            until(lambda: engine_of(flow).health == "ready")
            assert flow.post("/up", Document("a"), return_results=True)[0].docs.texts == ["A!"]


def test_in_a_file(far: tuple[Server, str], tmp_path: pathlib.Path) -> None:
    """The same in YAML, there and back, served by twistd: /status tells where it is."""
    import json
    import urllib.request

    file = tmp_path / "flow.yml"
    file.write_text(
        f"jtype: Flow\nexecutors:\n  - name: far\n    host: {far[1]}\n    external: true\n    endpoints: [/up]\n"
    )
    Flow.load_config(str(file)).save_config(str(file))
    with serving("--protocol=http", "--port=0", "--config=flow.yml", cwd=tmp_path) as server:
        address = f"http://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
        with urllib.request.urlopen(f"{address}/status", timeout=TIMEOUT) as status:
            told = json.load(status)["engines"]["far"]
        assert (told["engine"], told["address"], told["health"]) == ("remote", far[1], "ready")
        flow = Flow().add(name="far", host=address)
        with MemoryFlow(flow) as again:
            assert sorted(engine_of(again).endpoints) == ["/up"]
            assert again.post("/up", Document("a"), return_results=True)[0].docs.texts == ["A"]


class TestCredentials:
    @pytest.mark.parametrize("scheme", ["https", "wss", "grpcs"])
    def test_they_are_shown(self, folder: pathlib.Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A token, a certificate, and the authorities that the other one is trusted by; from a file, which has paths
        of its own folder and the token as a variable.
        """
        files = Certificates(folder)
        cert, key = files.client("near")
        token, line = new_token("near")
        (folder / "tokens").write_text(line)
        (folder / "near.yml").write_text(
            NEAR.format(ca=pathlib.Path(files.ca).name, cert=pathlib.Path(cert).name, key=pathlib.Path(key).name)
        )
        protocol = {"https": "http", "wss": "websocket", "grpcs": "grpc"}[scheme]
        options = [f"--tls-client-ca={files.ca}", "--tokens=tokens", "--uses=far.py:Far", *files.options]
        with serving(f"--protocol={protocol}", f"--port={free_port()}", *options, cwd=folder) as server:
            monkeypatch.setenv("FAR", f"{scheme}://127.0.0.1:{server.port}")  # type: ignore[attr-defined]
            monkeypatch.setenv("FAR_TOKEN", token)
            flow = Flow.load_config(folder / "near.yml")
            assert token not in repr(flow._nodes)
            with pytest.raises(ConfigurationError, match=r"far: a token is not written to a file"):
                flow.save_config(folder / "other.yml")
            with MemoryFlow(flow, codec="bytes") as near:
                assert engine_of(near).health == "ready"
                assert near.post("/up", Document("a"), return_results=True)[0].docs.texts == ["A"]
                assert token not in repr(engine_of(near).describe())

    @pytest.mark.parametrize("protocol", sorted(SCHEMES))
    def test_they_are_not_known(self, folder: pathlib.Path, protocol: str) -> None:
        """That is no fault of who has called: it is told that the other flow is not there, and the log says why."""
        (folder / "tokens").write_text(new_token("ann")[1])
        options = ["--tokens=tokens", "--uses=far.py:Far"]
        with serving(f"--protocol={protocol}", f"--port={free_port()}", *options, cwd=folder) as server:
            url = f"{SCHEMES[protocol]}://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
            with (
                Log() as lines,
                MemoryFlow(Flow().add(name="far", host=url, token="wrong-token"), codec="bytes") as near,
            ):
                assert engine_of(near).health in ("failed", "unhealthy")
                for _ in range(2):
                    with pytest.raises(Unavailable, match=r"does not know this flow: see token= and cert=|is failed"):
                        near.post("/up", Document("a"))
        assert "wrong-token" not in "".join(lines)
        assert any("executor far: the flow at" in line and "Unauthenticated" in line for line in lines)


NEAR = """
jtype: Flow
version: '1'
executors:
  - name: far
    host: $FAR
    token: $FAR_TOKEN
    ca: {ca}
    cert: {cert}
    key: {key}
"""


@pytest.mark.parametrize("name", ["ca", "cert", "key", "token"])
def test_credentials_without_a_flow_elsewhere(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}= is for a flow that is elsewhere: say its host= too"):
        Flow().add(shout, **{name: "x"})  # type: ignore[arg-type]
