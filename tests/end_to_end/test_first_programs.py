"""The first programs that a user writes: server and client, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support import TIMEOUT, free_port


@contextlib.contextmanager
def running(folder: pathlib.Path, program: str) -> Iterator[subprocess.Popen[str]]:
    """*program* in a process; it is up when its banner is out."""
    (folder / "server.py").write_text(program)
    with subprocess.Popen([sys.executable, "server.py"], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("Local access" in line for line in process.stdout)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT)
            assert process.returncode == 0


def run(folder: pathlib.Path, program: str) -> subprocess.CompletedProcess[str]:
    (folder / "client.py").write_text(program)
    return subprocess.run(
        [sys.executable, "client.py"], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=True
    )


@pytest.mark.parametrize("protocol", ["grpc", "websocket", "http"])
def test_server_and_client(tmp_path: pathlib.Path, protocol: str) -> None:
    """An empty flow that blocks, and a client elsewhere; without a protocol both mean gRPC."""
    port, named = free_port(), "" if protocol == "grpc" else f"protocol='{protocol}', "
    server = f"from twisted_flow import Flow\nf = Flow({named}port_expose={port})\nwith f:\n    f.block()\n"
    client = (
        f"from twisted_flow import Client, Document\nc = Client({named}host='127.0.0.1', port={port})\nc.post('/')\n"
    )
    with running(tmp_path, server):
        done = run(tmp_path, client + "print(c.post('/', Document(), return_results=True)[0].status.code)\n")
    assert done.stderr == f"connected to the gateway at 127.0.0.1:{port}!\n"
    assert done.stdout == "0\n"


def test_implicit_client(tmp_path: pathlib.Path) -> None:
    """Inside ``with`` a flow is its own client, and changes its protocol while it runs."""
    program = """
from twisted_flow import Document, Flow

f = Flow(protocol='grpc')
with f:
    f.post('/', Document())
    f.protocol = 'http'
    print(f.post('/', Document(text='again'), return_results=True)[0].docs[0].text)
"""
    assert run(tmp_path, program).stdout.splitlines()[-1] == "again"


def test_custom_endpoint(tmp_path: pathlib.Path) -> None:
    """An executor's endpoint over HTTP, with a summary; no CRUD and debug endpoints; other origins' pages may ask."""
    port = free_port()
    program = f"""
from twisted_flow import Executor, Flow, requests

class MyExec(Executor):

    @requests(on='/foo')
    def foo(self, docs, **kwargs):
        for doc in docs:
            doc.text = 'foo'

f = Flow(protocol='http', port_expose={port}, cors=True, title='Mine', no_debug_endpoints=True, no_crud_endpoints=True)
f = f.add(uses=MyExec)
f.expose_endpoint('/foo', summary='my endpoint', tags=['mine'])
with f:
    f.block()
"""
    with running(tmp_path, program):
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/foo", b'{"data": ["a"]}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
            assert json.load(answer)["data"]["docs"][0]["text"] == "foo"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=TIMEOUT) as answer:
            paths = json.load(answer)["paths"]
    assert paths.keys() == {"/foo"}
    assert paths["/foo"]["post"]["summary"] == "my endpoint"
