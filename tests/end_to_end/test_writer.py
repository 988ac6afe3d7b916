"""The writer example: a text generator whose words are shown as they come, in a browser and by other clients."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.browsing import page_at
from tests.support import ROOT, TIMEOUT, free_port, serving

WRITER = ROOT / "examples/writer"
_PAUSE = 0.05  # seconds between two words, unless told otherwise


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    number = free_port()
    folder = tmp_path_factory.mktemp("writer")
    said = (WRITER / "flow.yml").read_text().replace("12345", str(number))
    (folder / "flow.yml").write_text(said.replace("writer.py:", f"{WRITER / 'writer.py'}:"))
    with serving(f"--config={folder / 'flow.yml'}", cwd=folder) as made:
        yield made


def run(*command: Any) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(server: Any, text: str, seed: int, **wish: Any) -> list[str]:
    """The words that curl is told."""
    body = {"data": [text] if text else [], "parameters": {"seed": seed, "pause": 0, **wish}}
    answer = run(
        "curl", "-sN", "-H", "Content-Type: application/json", "-H", "Accept: application/jsonl",
        "-d", json.dumps(body), f"http://127.0.0.1:{server.port}/write",
    )  # fmt: skip
    return [line["text"] for line in map(json.loads, answer.splitlines()) if "text" in line]


class TestModel:
    def test_it_is_one(self, server: Any) -> None:
        """Two words that follow each other do so in what was read, most often the first ones of all."""
        from pydoc_data.topics import topics

        read = re.sub(r"\s+", " ", " ".join(topics.values()))
        words = "".join(asked(server, "The class", 1, words=300, temperature=1)).split()
        assert len(words) == 300
        pairs = [f"{one} {two}" for one, two in pairwise(words)]
        assert sum(pair in read for pair in pairs) > 0.95 * len(pairs)

    def test_seed_and_temperature(self, server: Any) -> None:
        """The same seed writes the same; another one another text; without any heat a seed makes no difference."""
        assert asked(server, "", 1) == asked(server, "", 1) != asked(server, "", 2)
        assert asked(server, "The class", 1, temperature=0) == asked(server, "The class", 2, temperature=0)

    def test_hotter_is_rarer(self, server: Any) -> None:
        """The hotter, the more different words."""
        cold, hot = (set(asked(server, "", 5, words=1000, temperature=heat)) for heat in (0.1, 5))
        assert len(hot) > len(cold)


class TestClients:
    def test_the_same_text_everywhere(self, server: Any) -> None:
        """Python over each protocol, and Node, are told what curl is."""
        text = "".join(asked(server, "The class", 7, words=30, temperature=0.8)).strip()
        http, grpc = f"http://127.0.0.1:{server.port}", f"grpc://127.0.0.1:{server.port}"
        for address in (http, grpc, f"ws://127.0.0.1:{server.port}"):
            assert run(sys.executable, WRITER / "go_on.py", address, "The class", 7).strip() == text
        node = shutil.which("node")
        if node is None:
            assert not os.environ.get("CI"), "no node"
            pytest.skip("no node: apt-get install nodejs")
        assert run(node, WRITER / "go_on.mjs", http, "The class", 7).strip() == text

    def test_without_arguments(self, server: Any) -> None:
        """They have defaults; the server of these tests is elsewhere."""
        done = subprocess.run([sys.executable, WRITER / "go_on.py"], capture_output=True, text=True, timeout=TIMEOUT)
        assert "IndexError" not in done.stderr

    def test_word_by_word(self, server: Any) -> None:
        """`curl -N` has a word long before the last one."""
        body = json.dumps({"parameters": {"seed": 1, "words": 30}})
        command = ["curl", "-sN", "-H", "Content-Type: application/json", "-H", "Accept: text/event-stream", "-d", body]
        with subprocess.Popen([*command, f"http://127.0.0.1:{server.port}/write"], stdout=subprocess.PIPE) as curl:
            assert curl.stdout is not None
            came = [time.monotonic() for line in curl.stdout if line.startswith(b"data: ")]
        assert len(came) == 31
        assert came[-1] - came[0] > 20 * _PAUSE

    def test_wrong_wishes(self, server: Any) -> None:
        """A parameter that makes no sense is named."""
        body = json.dumps({"parameters": {"temperature": "hot"}})
        url = f"http://127.0.0.1:{server.port}/write"
        answer = json.loads(run("curl", "-s", "-H", "Content-Type: application/json", "-d", body, url))
        assert (answer["status"], answer["errors"][0]["pointer"]) == (422, "/parameters/temperature")


@pytest.mark.parametrize("over", ["events", "websocket"])
class TestPage:
    def test_it_shows_each_word_when_it_comes(self, server: Any, tmp_path: pathlib.Path, over: str) -> None:
        """The page of one file, opened as a file; some words are there while others are not; then all are."""
        page = f"file://{WRITER / 'page.html'}?host=127.0.0.1&port={server.port}&over={over}&seed=7&words=30"
        with page_at(f"{page}&pause=0.1", tmp_path) as shown:
            some = shown.wait_for("document.querySelectorAll('#text span').length")
            assert some < 30
            told = shown.wait_for("/different/.test(told.textContent) && told.textContent")
            words, times = map(int, re.findall(r"\d+", told))
            assert words == 30
            assert times > 20
            text = shown.evaluate("text.textContent")
        assert text == "The class " + "".join(asked(server, "The class", 7, words=30, temperature=0.8))

    def test_it_can_be_stopped(self, server: Any, tmp_path: pathlib.Path, over: str) -> None:
        """A click ends it, at the server too."""
        page = f"file://{WRITER / 'page.html'}?host=127.0.0.1&port={server.port}&over={over}&seed=7&words=2000"
        with page_at(f"{page}&pause=0.02", tmp_path) as shown:
            shown.wait_for("document.querySelectorAll('#text span').length")
            shown.evaluate("form.stop.click()")
            told = shown.wait_for("/then/.test(told.textContent) && told.textContent")
            assert re.search("then stopped" if over == "events" else "then: Cancelled", told)
            assert int(told.split()[0]) < 2000

    def test_it_tells_what_is_wrong(self, server: Any, tmp_path: pathlib.Path, over: str) -> None:
        """What the server says of a wish is shown."""
        page = f"file://{WRITER / 'page.html'}?host=127.0.0.1&port={server.port}&over={over}&seed=7&temperature=11"
        with page_at(page, tmp_path) as shown:
            assert "temperature" in shown.wait_for("/then/.test(told.textContent) && told.textContent")


def test_in_swagger_ui(server: Any, tmp_path: pathlib.Path) -> None:
    """The docs page shows that the endpoint streams, and in which forms."""
    with page_at(f"http://127.0.0.1:{server.port}/docs", tmp_path) as shown:
        write = "[...document.querySelectorAll('.opblock-summary')].find(e => /write/.test(e.innerText))"
        shown.wait_for(f"!!{write}")
        shown.evaluate(f"{write}.querySelector('.opblock-summary-control').click()")
        told = shown.wait_for("document.querySelector('.responses-table')?.textContent")
        assert "text/event-stream" in told
        assert "application/jsonl" in told
