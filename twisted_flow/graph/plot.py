"""A picture of a graph: as SVG, and as Mermaid's text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from msgspec import Struct

from .graph import GATEWAY, NodeConfig, ends, ordered

__all__ = ["mermaid", "svg"]

_HEIGHT, _GAP, _STEP, _LETTER, _MARGIN = 40, 24, 64, 8, 16  # pixels
_SPECIAL = "#&<>\"'`"
_ANSWER = ""
"""Where the documents of the ends go; no executor has this name."""

_STYLE = """
.box { fill: #eef4ff; stroke: #4a6fa5; } .door { fill: #fff6e0; stroke: #b8862b; }
.side { stroke-dasharray: 4 3; } path { fill: none; stroke: #7a869a; stroke-width: 1.5; }
text { font: 14px system-ui, sans-serif; fill: #1d2733; text-anchor: middle; dominant-baseline: central; }
.arrow { fill: #7a869a; }
@media (prefers-color-scheme: dark) {
  .box { fill: #24324a; } .door { fill: #453a1e; } text { fill: #e8edf5; } }
"""


class _Box(Struct):
    """Where a node stands in the picture."""

    x: float
    y: float
    width: float


def _edges(nodes: Sequence[NodeConfig]) -> list[tuple[str, str, bool]]:
    """What goes from where to where, and whether nobody waits for it."""
    inner = [(needed, node.name, node.floating) for node in nodes for needed in node.needs]
    return [*inner, *((name, _ANSWER, False) for name in ends(nodes))]


def mermaid(nodes: Sequence[NodeConfig]) -> str:
    """The graph in Mermaid's language, left to right.

    :raises ConfigurationError: if *nodes* make no graph.
    """
    nodes = ordered(nodes)
    marks = {GATEWAY: "start", _ANSWER: "answer"} | {node.name: f"n{rank}" for rank, node in enumerate(nodes)}
    lines = ["flowchart LR", "    start([gateway])"]
    for node in nodes:
        name = _mermaid_text(node.name)
        lines.append(f'    {marks[node.name]}["{name}"]' if node.spec else f'    {marks[node.name]}{{{{"{name}"}}}}')
    lines.append("    answer([gateway])")
    lines += [f"    {marks[one]} {'-.->' if aside else '-->'} {marks[other]}" for one, other, aside in _edges(nodes)]
    return "\n".join(lines) + "\n"


def _mermaid_text(name: str) -> str:
    """*name*, with what Mermaid would read otherwise as its number."""
    return "".join(f"#{ord(letter)};" if letter in _SPECIAL else letter for letter in name)


def _layers(nodes: Sequence[NodeConfig]) -> tuple[list[list[str]], dict[tuple[str, str], list[str]]]:
    """The names of the nodes from left to right, each behind all that it needs; and the positions kept free for
    the arrows that pass a layer.
    """
    depth = {GATEWAY: 0}
    for node in nodes:
        depth[node.name] = 1 + max(depth[name] for name in node.needs)
    depth[_ANSWER] = 1 + max((depth[name] for name in ends(nodes)), default=0)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, rank in depth.items():
        layers[rank].append(name)
    passing: dict[tuple[str, str], list[str]] = {}
    for one, other, _ in _edges(nodes):
        for rank in range(depth[one] + 1, depth[other]):
            passing.setdefault((one, other), []).append(f"{one}\0{other}\0{rank}")
            layers[rank].append(passing[one, other][-1])
    return layers, passing


def _boxes(layers: Sequence[Sequence[str]]) -> dict[str, _Box]:
    tallest = max(map(len, layers))
    boxes, x = {}, float(_MARGIN)
    for layer in layers:
        width = max(len(name or GATEWAY) for name in layer if "\0" not in name) * _LETTER + 2 * _MARGIN
        top = _MARGIN + (tallest - len(layer)) * (_HEIGHT + _GAP) / 2
        for row, name in enumerate(layer):
            boxes[name] = _Box(x, top + row * (_HEIGHT + _GAP), width)
        x += width + _STEP
    return boxes


def _curve(boxes: Sequence[_Box]) -> str:
    """The way of an arrow, from the first of *boxes* to the last, through those between."""
    x, y = boxes[0].x + boxes[0].width, boxes[0].y + _HEIGHT / 2
    curve = f"M{x:g} {y:g}"
    for box in boxes[1:]:
        to_y, bend = box.y + _HEIGHT / 2, (box.x - x) / 2
        curve += f"C{x + bend:g} {y:g} {box.x - bend:g} {to_y:g} {box.x:g} {to_y:g}"
        x, y = box.x + box.width, to_y
        if box is not boxes[-1]:
            curve += f"H{x:g}"
    return curve


def svg(nodes: Sequence[NodeConfig]) -> str:
    """The graph as a picture that stands for itself: nothing is loaded from elsewhere.

    :raises ConfigurationError: if *nodes* make no graph.
    """
    nodes = ordered(nodes)
    layers, passing = _layers(nodes)
    boxes = _boxes(layers)
    width = max(box.x + box.width for box in boxes.values()) + _MARGIN
    height = max(box.y for box in boxes.values()) + _HEIGHT + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="the graph of the flow"><style>{_STYLE}</style>',
        '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="arrow" d="M0 0 8 4 0 8z"/></marker>',
    ]
    for one, other, aside in _edges(nodes):
        curve = _curve([boxes[name] for name in (one, *passing.get((one, other), ()), other)])
        kind = ' class="side"' if aside else ""
        parts.append(f'<path{kind} d="{curve}" marker-end="url(#arrow)"/>')
    floating = {node.name for node in nodes if node.floating}
    for name, box in boxes.items():
        if "\0" in name:
            continue
        door = name in (GATEWAY, _ANSWER)
        kind = "door" if door else "box side" if name in floating else "box"
        round_corner = _HEIGHT / 2 if door else 6
        parts.append(
            f'<rect class="{kind}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{_HEIGHT}" '
            f'rx="{round_corner:g}"/><text x="{box.x + box.width / 2:g}" y="{box.y + _HEIGHT / 2:g}">'
            f"{escape(name or GATEWAY)}</text>"
        )
    return "\n".join(parts) + "\n</svg>\n"
