"""Examples of what a JSON Schema describes, for the docs pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["example_of"]

_BY_TYPE: dict[str, Any] = {"string": "text", "integer": 1, "number": 0.5, "boolean": True, "array": [], "null": None}
_DEEPEST = 8


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], level: int = 0) -> object:
    """A value that *schema* describes: its own example or default, else one made of its fields.

    :param schemas: those that it may refer to, by their names.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example_of({**schemas[name], **{k: v for k, v in schema.items() if k != "$ref"}}, schemas, level + 1)
    if "examples" in schema:
        return schema["examples"][0]
    for key in ("example", "const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return example_of(schema[key][0], schemas, level + 1)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        fields = schema.get("properties", {}).items() if level < _DEEPEST else ()
        return {name: example_of(field, schemas, level + 1) for name, field in fields}
    if kind in ("integer", "number"):
        return max(_BY_TYPE[kind], schema.get("minimum", _BY_TYPE[kind]))
    return _BY_TYPE[kind]
