"""Pictures of graphs."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from tests.graphs import graphs
from tests.support import TIMEOUT, browser
from twisted_flow import ConfigurationError, DocumentArray, Flow
from twisted_flow.graph.plot import mermaid, svg

SVG = "{http://www.w3.org/2000/svg}"


def work(docs: DocumentArray) -> None:
    """Do nothing."""


def flow() -> Flow:
    built = Flow().add(work, name="encode").add(work, name="index").add(work, name='a "<&>" b', needs="gateway")
    return built.inspect(work, name="look").needs(["index", 'a "<&>" b'], name="join").add(work, name="rank")


def test_mermaid() -> None:
    """Nodes by their names, joins in another shape, arrows from what is needed; a dotted one to the side."""
    assert flow().to_mermaid() == (
        "flowchart LR\n"
        "    start([gateway])\n"
        '    n0["encode"]\n'
        '    n1["index"]\n'
        '    n2["a #34;#60;#38;#62;#34; b"]\n'
        '    n3["look"]\n'
        '    n4{{"join"}}\n'
        '    n5["rank"]\n'
        "    answer([gateway])\n"
        "    start --> n0\n"
        "    n0 --> n1\n"
        "    start --> n2\n"
        "    n2 -.-> n3\n"
        "    n1 --> n4\n"
        "    n2 --> n4\n"
        "    n4 --> n5\n"
        "    n5 --> answer\n"
    )


def drawn(picture: str) -> tuple[list[Any], list[str], int]:
    """The boxes, the words in them, and how many arrows there are."""
    root = ET.fromstring(picture)
    boxes = [tuple(float(box.attrib[name]) for name in ("x", "y", "width")) for box in root.iter(f"{SVG}rect")]
    return boxes, [text.text or "" for text in root.iter(f"{SVG}text")], len(root.findall(f"{SVG}path"))


def test_files(tmp_path: pathlib.Path) -> None:
    """``plot`` writes what the file's name says; a notebook shows the same."""
    built = flow()
    assert built.plot(tmp_path / "flow.svg").plot(str(tmp_path / "flow.mmd")) is built
    assert (tmp_path / "flow.svg").read_text() == built._repr_svg_() == built.to_svg()
    assert (tmp_path / "flow.mmd").read_text() == built.to_mermaid()
    assert drawn(built.to_svg())[1] == ["gateway", "encode", 'a "<&>" b', "index", "look", "join", "rank", "gateway"]


@given(graphs())
def test_any_graph(made: Any) -> None:
    """Every graph is drawn: a box for each node, none over another, within the picture, an arrow for each need."""
    nodes, _ = made
    picture = svg(nodes)
    boxes, words, arrows = drawn(picture)
    assert sorted(words) == sorted(["gateway", "gateway", *(node.name for node in nodes)])
    for place, (x, y, width) in enumerate(boxes):
        for other_x, other_y, other_width in boxes[:place]:
            assert x >= other_x + other_width or other_x >= x + width or abs(y - other_y) >= 40
    root = ET.fromstring(picture).attrib
    assert all(x + width <= float(root["width"]) and y + 40 <= float(root["height"]) for x, y, width in boxes)
    assert arrows == mermaid(nodes).count("-->")


def test_other_pictures() -> None:
    """No other kind of picture is made under its name."""
    with pytest.raises(ConfigurationError, match=r"ends with .svg, or .mmd"):
        flow().plot("flow.png")


def test_no_graph() -> None:
    """What makes no graph makes no picture."""
    with pytest.raises(ConfigurationError, match="there is no such executor"):
        Flow().add(work, needs="nothing").to_svg()


def test_in_a_browser(tmp_path: pathlib.Path) -> None:
    """A browser draws it."""
    (tmp_path / "page.html").write_text(
        f"<title></title>{flow().to_svg()}<script>document.title = [...document.querySelectorAll('text')].filter("
        "text => text.getBoundingClientRect().width > 20).map(text => text.textContent).join()</script>"
    )
    command = browser(tmp_path, "--dump-dom", f"file://{tmp_path}/page.html")
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT * 3)
    assert '<title>gateway,encode,a "&lt;&amp;&gt;" b,index,look,join,rank,gateway</title>' in done.stdout
