"""What the JSON Schemas of messages say beyond what their types do."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from ...document.ndarray import DTYPE, MOST_SIDES
from ...document.numbers import MOST_32
from ...limits import LONGEST_NAME

__all__ = ["sharpen"]

_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_CONTENTS = ("text", "buffer", "blob", "uri", "graph")
_NAMES = (("PostBody", "requestId"), ("PostBody", "execEndpoint"), ("PostBody", "targetPeapod"), ("Document", "id"))


def sharpen(schemas: dict[str, Any]) -> None:
    """Say what the types do not, as far as a JSON Schema can.

    It cannot say that an array's bytes fit its shape, nor that nested lists are all of one length.
    """
    schemas["Document"]["not"] = {"anyOf": [_set(*pair) for pair in combinations(_CONTENTS, 2)]}
    schemas["Document"]["description"] = "What executors work on. It has at most one of " + ", ".join(_CONTENTS)
    schemas["Document"]["properties"]["buffer"]["pattern"] = _BASE64
    nested = {"$ref": "#/components/schemas/Numbers"}
    schemas["Numbers"] = {
        "description": "Numbers, or lists of such that are all of one length; null is NaN",
        "anyOf": [
            {"type": "array", "items": {"type": ["number", "boolean", "null"]}},
            {"type": "array", "items": nested},
        ],
    }
    for name in ("blob", "embedding"):
        schemas["Document"]["properties"][name]["anyOf"][0] = nested
    dense = schemas["DenseNdArray"]["properties"]
    dense["buffer"]["pattern"] = _BASE64
    schemas["DenseNdArray"]["anyOf"] = [
        {"required": ["dtype"], "properties": {"dtype": {"type": "string", "minLength": 1}}},
        {"properties": {"buffer": {"maxLength": 0}, "shape": {"maxItems": 0}}},  # no array at all
    ]
    for shape in (dense["shape"], schemas["SparseNdArray"]["properties"]["shape"]):
        shape["items"]["minimum"] = 0
        shape["maxItems"] = MOST_SIDES
    schemas["SparseNdArray"]["properties"]["shape"]["minItems"] = 1
    dense["quantization"]["enum"] = [0, 1, 2]
    for name in ("dtype", "originalDtype"):
        dense[name] |= {"pattern": f"^({DTYPE})?$", "description": "As numpy's dtype.str spells it, such as <f4"}
    schemas["NdArray"]["oneOf"] = [_set("dense"), _set("sparse")]
    for schema, name in _NAMES:
        schemas[schema]["properties"][name]["maxLength"] = LONGEST_NAME
    schemas["PostBody"]["properties"]["targetPeapod"]["format"] = "regex"
    for number in (schemas["Document"]["properties"]["weight"], schemas["NamedScore"]["properties"]["value"]):
        number["anyOf"][0] |= {"exclusiveMinimum": -MOST_32, "exclusiveMaximum": MOST_32}
    for name in ("PostBody", "Document", "NamedScore", "Graph", "Data", "NdArray", "DenseNdArray", "SparseNdArray"):
        fields = schemas[name]["properties"]
        required = schemas[name]["required"]
        schemas[name]["properties"] = {
            field: schema if field in required else _nullable(schema) for field, schema in fields.items()
        }


def _set(*names: str) -> dict[str, object]:
    """That there is something in each of these fields; null is nothing."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


def _nullable(schema: dict[str, Any]) -> dict[str, object]:
    """*schema*, or null, which is as if the field were not there."""
    if {"type": "null"} in schema.get("anyOf", ()):
        return schema
    outside = {key: schema[key] for key in ("default", "description") if key in schema}
    inside = {key: value for key, value in schema.items() if key not in outside}
    nullable: dict[str, object] = {"anyOf": [inside, {"type": "null"}]}
    return nullable | outside
