"""What the JSON Schemas of messages say beyond what their types do."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from ...document.ndarray import DTYPE
from ...limits import LONGEST_NAME

__all__ = ["sharpen"]

_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_LARGEST = 3.4028234e38  # of 32 bits
_CONTENTS = ("text", "buffer", "blob", "uri", "graph")
_NAMES = (("PostBody", "requestId"), ("PostBody", "execEndpoint"), ("PostBody", "targetPeapod"), ("Document", "id"))


def sharpen(schemas: dict[str, Any]) -> None:
    """Say what the types do not, as far as a JSON Schema can. (That an array's bytes fit its shape it cannot.)"""
    schemas["Document"]["not"] = {"anyOf": [{"required": list(pair)} for pair in combinations(_CONTENTS, 2)]}
    schemas["Document"]["description"] = "What executors work on. It has at most one of " + ", ".join(_CONTENTS)
    schemas["Document"]["properties"]["buffer"]["pattern"] = _BASE64
    numbers: dict[str, object] = {
        "type": "array",
        "items": {"type": ["number", "null"]},
        "description": "Numbers; null is NaN",
    }
    nested = {"type": "array", "items": {"anyOf": [numbers, {"type": "array", "items": {"type": "array"}}]}}
    for name in ("blob", "embedding"):
        schemas["Document"]["properties"][name]["anyOf"][0] = {"anyOf": [numbers, nested]}
    dense = schemas["DenseNdArray"]["properties"]
    dense["buffer"]["pattern"] = _BASE64
    dense["shape"]["items"]["minimum"] = schemas["SparseNdArray"]["properties"]["shape"]["items"]["minimum"] = 0
    schemas["SparseNdArray"]["properties"]["shape"]["minItems"] = 1
    dense["quantization"]["enum"] = [0, 1, 2]
    for name in ("dtype", "originalDtype"):
        dense[name] |= {"pattern": f"^({DTYPE})?$", "description": "As numpy's dtype.str spells it, such as <f4"}
    schemas["NdArray"] |= {"minProperties": 1, "maxProperties": 1}
    for schema, name in _NAMES:
        schemas[schema]["properties"][name]["maxLength"] = LONGEST_NAME
    schemas["PostBody"]["properties"]["targetPeapod"]["format"] = "regex"
    for number in (schemas["Document"]["properties"]["weight"], schemas["NamedScore"]["properties"]["value"]):
        number["anyOf"][0] |= {"minimum": -_LARGEST, "maximum": _LARGEST}
    fields = schemas["PostBody"]["properties"]
    schemas["PostBody"]["properties"] = {name: _nullable(schema) for name, schema in fields.items()}


def _nullable(schema: dict[str, Any]) -> dict[str, object]:
    """*schema*, or null, which is as if the field were not there."""
    if {"type": "null"} in schema.get("anyOf", ()):
        return schema
    outside = {key: schema[key] for key in ("default", "description") if key in schema}
    inside = {key: value for key, value in schema.items() if key not in outside}
    nullable: dict[str, object] = {"anyOf": [inside, {"type": "null"}]}
    return nullable | outside
