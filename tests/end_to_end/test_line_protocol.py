"""A package that brings a protocol along, and one that brings an engine: not a line of ours differs for them."""

from __future__ import annotations

import json
import pathlib
import signal
import socket
import sys
from typing import Any

import pytest
from twisted.plugin import IPlugin

from tests.support import TIMEOUT, Dispatcher, Held, Server, installed
from twisted_flow import Client, ConfigurationError, Document, Flow
from twisted_flow.errors import NotFound
from twisted_flow.testing import MemoryGateway

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "line_protocol"


@pytest.fixture(scope="module", name="installed")
def in_an_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the example package is installed."""
    return installed(EXAMPLE, tmp_path_factory.mktemp("lines"))


class TestServed:
    def test_lines_and_http(self, installed: dict[str, str], tmp_path: pathlib.Path) -> None:
        """``--protocol=lines`` beside ``--protocol=http``: documents and errors, many lines at once, half-closed, and a
        stop that leaves nothing.
        """
        (tmp_path / "e.py").write_text(
            "from twisted_flow import Executor, requests\nclass Up(Executor):\n    @requests\n"
            "    def up(self, docs, **kwargs):\n        for doc in docs: doc.text = doc.text.upper()\n"
        )
        options = ["--protocol=http", "--protocol=lines", "--host=127.0.0.1", "--uses=e.py:Up"]
        server = Server(*options, cwd=tmp_path, env=installed)
        try:
            port = server.wait_until_ready()
            server.wait_for_line("LINES")
            begin = next(number for number, line in enumerate(server.lines) if "LINES" in line)
            other = int(server.wait_for_line(r"Local access:\s*\S+:(\d+)", begin)[1])
            with socket.create_connection(("127.0.0.1", other), TIMEOUT) as line:
                line.sendall(b'{"text": "a"}\n{"text": 5}\nno json\n{"text": "d"}\n')
                line.shutdown(socket.SHUT_WR)
                raw = b"".join(iter(lambda: line.recv(1 << 16), b""))
            told = [json.loads(each) for each in raw.splitlines()]
            assert [each.get("text", each.get("error")) for each in told] == ["A", "ValidationError", "BadRequest", "D"]
            client = Client(protocol="http", port=port)
            assert client.post("/", "x", return_results=True)[0].docs.texts == ["X"]
            client.close()
        finally:
            server.stop(signal.SIGTERM)


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example beside us, found by ``twisted.plugin``."""
    import twisted.plugins

    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setattr(twisted.plugins, "__path__", [*twisted.plugins.__path__, str(EXAMPLE / "twisted" / "plugins")])


@pytest.mark.usefixtures("on_path")
class TestInMemory:
    def test_order_drain_and_cut(self) -> None:
        """Lines are answered in their order; a drain lets those that have come in be answered; what is not, is told so."""
        held = Held()
        gateway = MemoryGateway("lines", held)
        wire, idle, late = gateway.connect(), gateway.connect(), gateway.connect()
        wire.receive(b'{"text": "a"}\n{"text": "b"}\n')
        late.receive(b'{"text": "c"}\n')
        assert len(held.requests) == 2
        stopped: list[Any] = []
        gateway.close().addCallback(stopped.append)
        assert idle.closed
        assert not wire.closed
        held.release(0)
        assert not wire.closed
        held.release(2)
        assert [json.loads(each)["text"] for each in wire.value().splitlines()] == ["a", "b"]
        assert wire.closed
        for each in (wire, idle):
            each.lose()
        gateway.clock.advance(30)
        assert json.loads(late.value())["error"] == "Unavailable"
        assert held.cancelled == 1
        late.lose()
        gateway.clock.advance(1)
        assert stopped

    def test_errors(self) -> None:
        """An error is a line, and the connection lives on."""

        def fail(asked: Any) -> None:
            raise NotFound("not here")

        wire = MemoryGateway("lines", Dispatcher(fail)).connect()
        for _ in range(2):
            wire.receive(b"{}\n")
            assert json.loads(wire.value()) == {"error": "NotFound", "detail": "not here"}
            wire.clear()

    def test_client(self) -> None:
        """There is no channel: the client says so; a protocol that shares no port is told from those that do."""
        with pytest.raises(ConfigurationError, match="the client does not speak it"):
            Client(protocol="lines", port=1).post("/", Document())
        with pytest.raises(ConfigurationError, match="lines needs a port of its own: 5 is for http and lines"):
            Flow(protocol=["http", "lines"], port=5)
        with pytest.raises(ConfigurationError, match="did you mean 'lines'"):
            Flow(protocol="line")


ENGINE = '''
from twisted.internet.defer import maybeDeferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from twisted_flow.engine.lifecycle import Lifecycle
from twisted_flow.executor.call import Context, response_to
from twisted_flow.interfaces import IEngine, IEngineMaker


@implementer(IEngine)
class Shouting:
    """Calls methods on the spot, and notes it."""

    window, seen = 1, []

    def __init__(self, executor):
        self.name, self.endpoints = executor.name, executor.endpoints
        self.life = Lifecycle(executor, maybeDeferred)
        self.start, self.stop, self.check = self.life.start, self.life.stop, self.life.check
        self.health = property(lambda self: self.life.health)

    def dispatch(self, request):
        self.seen.append(request.header.exec_endpoint)
        method = self.life.method(request.header.exec_endpoint)
        return response_to(request, method and method(request, Context.of(request)))


@implementer(IPlugin, IEngineMaker)
class Maker:
    name = "shouting"

    def make(self, executor, spec):
        return Shouting(executor)


shouting = Maker()
'''


def test_engine_by_a_plugin(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``engine='shouting'``: an engine of thirty lines, found as a plugin, named where one is misspelt."""
    import twisted.plugins

    assert len(ENGINE.strip().splitlines()) <= 40
    (tmp_path / "acme_engine_plugin.py").write_text(ENGINE)
    monkeypatch.setattr(twisted.plugins, "__path__", [*twisted.plugins.__path__, str(tmp_path)])

    def up(docs: Any) -> None:
        for document in docs:
            document.text = (document.text or "").upper()

    with Flow(protocol="http", host="127.0.0.1").add(uses=up, engine="shouting") as flow:
        assert flow.post("/x", "a", return_results=True)[0].docs.texts == ["A"]
    module: Any = sys.modules["twisted.plugins.acme_engine_plugin"]
    assert module.Shouting.seen == ["/x"]
    assert IPlugin.providedBy(module.shouting)
    with pytest.raises(ConfigurationError, match="did you mean 'shouting'"), Flow().add(uses=up, engine="shoutin"):
        pass
