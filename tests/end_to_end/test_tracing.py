"""Traces: from a caller, through a flow, its processes and flows elsewhere; spans by OpenTelemetry's in-memory exporter."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from tests.support import ROOT, TIMEOUT, serving
from twisted_flow import Client

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"

STEPS = """
from opentelemetry import trace
from twisted_flow import Executor, requests

def here():
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}/{context.span_id:016x}"

class Near(Executor):
    @requests(on="/x")
    async def near(self, docs):
        with trace.get_tracer("mine").start_as_current_span("own"):
            docs[0].tags["near"] = here()

class Blocking(Executor):
    @requests(on="/x")
    def blocking(self, docs): docs[0].tags["blocking"] = here()

class Apart(Executor):
    @requests(on="/x")
    def apart(self, docs, context): docs[0].tags["apart"] = here(); docs[0].tags["told"] = context.traceparent

class Far(Executor):
    @requests(on="/x")
    async def far(self, docs): docs[0].tags["far"] = here()

class Failing(Executor):
    @requests(on="/fail")
    async def fail(self, docs): raise ValueError("secret")

class Parts(Executor):
    @requests(on="/parts")
    async def parts(self, docs):
        for doc in "ab":
            from twisted_flow import Document
            yield Document(doc)
"""
PROGRAM = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from twisted_flow import Client, Flow
import steps

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
PROTOCOLS = ["http", "websocket", "grpc"]
found = {}
with Flow(protocol=PROTOCOLS).add(name="far", uses=steps.Far) as far:
    for protocol, scheme in zip(PROTOCOLS, ("http", "ws", "grpc")):
        near = Flow(protocol=protocol).add(name="near", uses=steps.Near).add(name="blocking", uses=steps.Blocking)
        near.add(name="apart", uses="steps.py:Apart", engine="process").add(name="there", host=f"{scheme}://127.0.0.1:{far.port}")
        near.add(name="failing", uses=steps.Failing).add(name="parts", uses=steps.Parts)
        with near:
            with Client(protocol=protocol, port=near.port, headers={"traceparent": sys.argv[1], "tracestate": "a=1"}) as client:
                exporter.clear()
                docs = client.post("/x", ["a"], return_results=True)[0].docs
                list(client.stream("/parts", ["a"]))
                client.post("/fail", ["a"], on_error=lambda error: None)
            with Client(protocol=protocol, port=near.port) as client:
                client.post("/alone", ["a"])
        spans = [
            {"name": span.name, "trace": f"{span.context.trace_id:032x}", "id": f"{span.context.span_id:016x}",
             "parent": None if span.parent is None else f"{span.parent.span_id:016x}", "kind": span.kind.name,
             "status": span.status.status_code.name, "attributes": dict(span.attributes), "events": len(span.events)}
            for span in exporter.get_finished_spans()
        ]
        found[protocol] = {"tags": docs[0].tags, "spans": spans}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("traced")
    (folder / "steps.py").write_text(STEPS)
    (folder / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", TRACEPARENT], cwd=folder, capture_output=True, text=True, timeout=2 * TIMEOUT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("protocol", ["http", "websocket", "grpc"])
class TestSpans:
    def test_one_trace(self, told: dict[str, Any], protocol: str) -> None:
        """The caller's span is the parent of the flow's, that of each executor's, and those of the flow elsewhere's."""
        spans = {
            each["name"]: each
            for each in told[protocol]["spans"]
            if each["trace"] == TRACE and each["name"].endswith("/x")
        }
        flows = [each for each in told[protocol]["spans"] if each["name"] == "flow /x"]
        (near,) = [each for each in flows if each["parent"] == PARENT]
        assert near["kind"] == "SERVER"
        for name in ("near", "blocking", "apart", "there"):
            assert spans[f"{name} /x"]["parent"] == near["id"]
        assert spans["there /x"]["kind"] == "CLIENT"
        (beyond,) = [each for each in flows if each["parent"] == spans["there /x"]["id"]]
        assert spans["far /x"]["parent"] == beyond["id"]

    def test_within_methods(self, told: dict[str, Any], protocol: str) -> None:
        """On the loop, in a thread, in a process and elsewhere: what a method does is within its executor's span."""
        found, spans = told[protocol], {each["name"]: each for each in told[protocol]["spans"]}
        tags = found["tags"]
        own = spans["own"]
        assert own["parent"] == spans["near /x"]["id"]
        assert tags["near"] == f"{TRACE}/{own['id']}"
        for name in ("blocking", "apart", "far"):
            assert tags[name] == f"{TRACE}/{spans[f'{name} /x']['id']}"
        assert tags["told"].split("-")[1] == TRACE

    def test_streams_errors_and_new_traces(self, told: dict[str, Any], protocol: str) -> None:
        """A span ends when its stream does; an error has its name, and not what it says; without a parent a trace begins."""
        spans = {each["name"]: each for each in told[protocol]["spans"]}
        assert spans["parts /parts"]["trace"] == TRACE
        failed = spans["failing /fail"]
        assert failed["status"] == "ERROR"
        assert failed["attributes"]["error.type"] == "ExecutorError"
        assert "secret" not in json.dumps(told[protocol]["spans"])
        alone = spans["flow /alone"]
        assert alone["parent"] is None
        assert alone["trace"] not in (TRACE, "0" * 32)


@pytest.mark.parametrize("protocol", ["http", "websocket", "grpc"])
def test_it_is_passed_on_without_opentelemetry(tmp_path: pathlib.Path, protocol: str) -> None:
    """A trace reaches methods here and elsewhere as it came; a broken one reaches nobody."""
    (tmp_path / "told.py").write_text(
        "from twisted_flow import Executor, requests\nclass Told(Executor):\n    @requests(on='/x')\n"
        "    def told(self, docs, context): docs[0].text += f'{context.traceparent} {context.tracestate} '\n"
    )
    schemes = {"http": "http", "websocket": "ws", "grpc": "grpc"}
    with serving(f"--protocol={protocol}", "--uses=told.py:Told", "--engine=process", cwd=tmp_path) as far:
        (tmp_path / "near.yml").write_text(
            f"jtype: Flow\nwith: {{protocol: {protocol}}}\nexecutors:\n  - uses: told.py:Told\n"
            f"  - host: {schemes[protocol]}://127.0.0.1:{far.port}\n"  # type: ignore[attr-defined]
        )
        with serving("--config=near.yml", cwd=tmp_path) as near:
            for given, seen in ((TRACEPARENT, TRACEPARENT), ("nonsense", ""), (f"00-{'0' * 32}-{PARENT}-01", "")):
                headers = {"traceparent": given, "tracestate": "vendor=1"}
                with Client(protocol=protocol, port=near.port, headers=headers) as client:  # type: ignore[attr-defined]
                    (response,) = client.post("/x", [""], return_results=True)
                    text = response.docs[0].text
                assert text.split() == ([seen, "vendor=1"] * 2 if seen else text.split())
                assert (TRACE in text) == bool(seen)
