"""How a document may be spelt in JSON, beyond the one spelling that answers have.

Existing clients send snake case, a bare string for a document with that text, every default spelled out, and keys of
their own, which are tags. Here such a thing becomes the one spelling, and an error in it is told at the position
where the caller wrote it.
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from ..errors import ValidationError
from .values import escaped

__all__ = ["camel", "canonical_document", "canonical_keys", "located", "on_the_wire", "snake"]

_QUANTIZATION = {"NONE": 0, "FP16": 1, "UINT8": 2}


def camel(name: str) -> str:
    """``mime_type`` as ``mimeType``."""
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def snake(name: str) -> str:
    """``mimeType`` as ``mime_type``."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def on_the_wire(name: str) -> str:
    """The JSON name of a Struct's field: ``_text`` is ``text``, ``mime_type`` is ``mimeType``."""
    return camel(name.lstrip("_"))


def canonical_keys(raw: dict[str, object]) -> dict[str, Any]:
    """*raw* with its keys in camel case; what is null is as if it were not there."""
    return {camel(key): value for key, value in raw.items() if value is not None}


def _canonical_count(raw: object) -> object:
    """JSON makes no difference between 1 and 1.0."""
    return int(raw) if type(raw) is float and raw.is_integer() else raw


def _canonical_counts(raw: object) -> object:
    return list(map(_canonical_count, raw)) if isinstance(raw, list) else raw


def _canonical_array(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    return {form: _canonical_parts(parts) for form, parts in raw.items() if parts is not None}


def _canonical_parts(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    parts = canonical_keys(raw)
    for part in parts.keys() & {"indices", "values"}:  # of the sparse form
        parts[part] = _canonical_parts(parts[part])
    if "quantization" in parts:
        given = parts["quantization"]
        parts["quantization"] = _QUANTIZATION.get(given, given) if isinstance(given, str) else _canonical_count(given)
    if "shape" in parts:
        parts["shape"] = _canonical_counts(parts["shape"])
    return parts


def _canonical_graph(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    graph = canonical_keys(raw)
    if "adjacency" in graph:
        graph["adjacency"] = _canonical_parts(graph["adjacency"])
    return graph


def _canonical_score(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    score = canonical_keys(raw)
    if isinstance(score.get("operands"), list):
        score["operands"] = [_canonical_score(operand) for operand in score["operands"]]
    return score


def _canonical_scores(raw: object) -> object:
    return {name: _canonical_score(score) for name, score in raw.items()} if isinstance(raw, dict) else raw


_PARTS = {
    "granularity": _canonical_count,
    "adjacency": _canonical_count,
    "offset": _canonical_count,
    "location": _canonical_counts,
    "blob": _canonical_array,
    "embedding": _canonical_array,
    "evaluations": _canonical_scores,
    "graph": _canonical_graph,
    "scores": _canonical_scores,
}


def canonical_document(raw: object, known: tuple[str, ...]) -> object:
    """The document that *raw* describes, in the one spelling; what describes none is left for the decoder to refuse.

    :param known: the JSON names of a document's fields; other keys become tags.
    """
    if isinstance(raw, str):
        return {"text": raw}
    if not isinstance(raw, dict):
        return raw
    document: dict[str, Any] = {}
    own: dict[str, object] = {}
    for key, value in raw.items():
        name = key if key in known else camel(key)
        if name not in known:
            own[key] = value
        elif value is not None:
            document[name] = _PARTS[name](value) if name in _PARTS else value
    for relatives in ("chunks", "matches"):
        if isinstance(document.get(relatives), list):
            document[relatives] = [canonical_document(each, known) for each in document[relatives]]
    if own and isinstance(document.setdefault("tags", {}), dict):
        document["tags"] = own | document["tags"]
    return document


_MESSAGE = re.compile(r"(?P<detail>.*?)(?: - at `(?:key in )?\$(?P<path>.*?)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


def located(error: msgspec.ValidationError, raw: Any) -> ValidationError:
    """What msgspec says of the one spelling, said of *raw*, which the caller wrote.

    The position is told down to a map, whose key msgspec does not tell.
    """
    detail, path = cast("re.Match[str]", _MESSAGE.fullmatch(str(error))).group("detail", "path")
    pointer, here = "", raw
    steps = [name or index for name, index in _STEP.findall(path or "")]
    if unknown := _UNKNOWN.fullmatch(detail):
        steps.append(unknown[1])
    for step in steps:
        if step == "..." or (step.isdigit() and not isinstance(here, list)):
            if step == "...":
                break
            continue  # a bare item, which stands for a list of one
        name: object = int(step) if isinstance(here, list) else step
        if isinstance(here, dict) and name not in here and snake(step) in here:
            name = snake(step)
        pointer += "/" + escaped(str(name))
        try:
            here = here[name]
        except (LookupError, TypeError):
            here = None
    return ValidationError.at(pointer, detail)
