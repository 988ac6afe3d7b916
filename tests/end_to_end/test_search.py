"""The example on real input, as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import ROOT, TIMEOUT, free_port, serving
from twisted_flow import Client

SEARCH = ROOT / "examples/search"


ONE = [f"--uses={SEARCH / 'search.py'}:Search", "--expose-endpoint=/count"]
FOUR = [f"--config={SEARCH / 'flow.yml'}"]


@pytest.fixture(scope="module", params=[ONE, FOUR], ids=["one executor", "four"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    options = ["--protocol=http", "--port=0"]
    with serving(*request.param, *options, cwd=tmp_path_factory.mktemp("search")) as server:
        port: int = server.port  # type: ignore[attr-defined]
        subprocess.run(
            [sys.executable, SEARCH / "fill.py", str(port)], check=True, timeout=TIMEOUT, capture_output=True
        )
        yield port


def ask(port: int, path: str, method: str = "POST", **body: Any) -> Any:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
        return json.load(answer)


def test_exception(port: int) -> None:
    """A question for exceptions finds try and except."""
    answer = ask(port, "/search", data=["how do I catch an exception"], parameters={"top_k": 5})
    matches = answer["data"]["docs"][0]["matches"]
    assert len(matches) == 5
    first = matches[:1] if "rank" not in matches[0]["scores"] else matches  # by words, shorter passages come first
    assert any("try" in match["text"] and "except" in match["text"] for match in first)
    name = "rank" if "rank" in matches[0]["scores"] else "cosine"
    scores = [match["scores"][name]["value"] for match in matches]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("question", "topics"),
    [
        ("the with statement and context managers", {"with", "context-managers", "compound"}),
        ("how are strings formatted", {"formatstrings", "f-strings", "strings", "string-methods", "customization"}),
        ("lambda expressions", {"lambda", "lambdas"}),
    ],
)
def test_questions(port: int, question: str, topics: set[str]) -> None:
    """Other questions find what they ask for among the first three."""
    answer = ask(port, "/search", data=[question], parameters={"top_k": 3})
    assert topics & {match["tags"]["topic"] for match in answer["data"]["docs"][0]["matches"]}


@pytest.mark.parametrize("what", [ONE, FOUR], ids=["one executor", "four"])
def test_three_protocols(what: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """The search gives the same answers over HTTP, WebSocket and gRPC."""
    options = ["--protocol=http", "--protocol=websocket", "--protocol=grpc", f"--port={free_port()}", *what]
    with serving(*options, cwd=tmp_path_factory.mktemp("three")) as server:
        port: int = server.port  # type: ignore[attr-defined]
        server.wait_for_line("HTTP, WEBSOCKET, GRPC")
        subprocess.run(
            [sys.executable, SEARCH / "fill.py", str(port)], check=True, timeout=TIMEOUT, capture_output=True
        )
        found = {}
        for protocol in ("http", "websocket", "grpc"):
            client = Client(protocol=protocol, host="127.0.0.1", port=port)
            (response,) = client.search("how do I catch an exception", return_results=True)
            found[protocol] = [
                (match.id, {name: round(score.value, 5) for name, score in match.scores.items()})
                for match in response.docs[0].matches
            ]
            client.close()
    assert found["http"] == found["websocket"] == found["grpc"]
    assert len(found["grpc"]) == 5
    assert [route.pod for route in response.routes][1:] == (
        ["executor0"] if what is ONE else ["encode", "index", "keywords", "rank"]
    )


def test_change(port: int) -> None:
    """Passages are counted, updated and deleted."""

    def count() -> int:
        return ask(port, "/count")["data"]["docs"][0]["tags"]["passages"]  # type: ignore[no-any-return]

    before = count()
    assert before > 300
    ask(port, "/index", data=[{"id": "mine", "text": "xylophones are percussion instruments"}])
    ask(port, "/update", "PUT", data=[{"id": "mine", "text": "zithers are string instruments"}])
    assert count() == before + 1
    (found,) = ask(port, "/search", data=["zithers"])["data"]["docs"]
    assert found["matches"][0]["id"] == "mine"
    ask(port, "/delete", "DELETE", data=[{"id": "mine"}])
    assert count() == before
    with pytest.raises(urllib.error.HTTPError) as wrong:
        ask(port, "/delete", "DELETE", data=[{"id": "mine"}])
    assert wrong.value.code == 404
    assert json.load(wrong.value)["detail"] == "there is no passage 'mine'"


@pytest.mark.parametrize("top_k", [0, "many", 1000])
def test_bad_parameter(port: int, top_k: Any) -> None:
    """A parameter that makes no sense is told so."""
    with pytest.raises(urllib.error.HTTPError) as wrong:
        ask(port, "/search", data=["x"], parameters={"top_k": top_k})
    assert (wrong.value.code, "top_k" in json.load(wrong.value)["detail"]) == (422, True)
