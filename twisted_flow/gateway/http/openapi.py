"""The OpenAPI document of a flow, made from the very types that decode its requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...codec.bodies import PostAnswer, PostBody
from ...version import __version__
from .problem import CONTENT_TYPE, Problem
from .routes import HTTPSettings, Route

__all__ = ["openapi"]

_REF = "#/components/schemas/{name}"
_ERRORS = {
    "400": "The body is not JSON",
    "406": "Accept leaves JSON out",
    "413": "The body is larger than it may be",
    "415": "The body is not application/json",
    "422": "A field is wrong; `errors` names it",
    "500": "An executor failed",
    "503": "Too many requests wait, or the server stops",
    "504": "The request's time ran out",
}


def openapi(settings: HTTPSettings, routes: tuple[Route, ...]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a gateway with *settings* and *routes*."""
    references, schemas = _schemas([route.parameters for route in routes if route.parameters is not None])
    paths: dict[str, Any] = {}
    for route in routes:
        if route.include_in_schema:
            paths[route.path] = {method.lower(): _operation(route, method, references) for method in route.methods}
    if settings.debug_endpoints:
        paths["/status"] = {"get": _STATUS}
    return {
        "openapi": "3.1.0",
        "info": {"title": settings.title, "description": settings.description, "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }


_STATUS = {
    "summary": "How the server does",
    "tags": ["Debug"],
    "operationId": "status",
    "responses": {
        "200": {
            "description": "Versions, platform, memory and health",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
}


def _operation(route: Route, method: str, references: Mapping[Any, Any]) -> dict[str, Any]:
    name = route.name or route.path.strip("/").replace("/", "_") or "root"
    first = method == route.methods[0]
    operation: dict[str, Any] = {
        "summary": route.summary or f"Post data to {route.endpoint or 'an endpoint'}",
        "operationId": (route.operation_id or name) + ("" if first else f"_{method.lower()}"),
        "parameters": _PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _body_schema(route, references), "example": _example(route)}},
        },
        "responses": {
            str(route.status_code): {
                "description": route.response_description,
                "content": {"application/json": {"schema": {"$ref": _REF.format(name="PostAnswer")}}},
            },
            **{
                status: {
                    "description": description,
                    "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
                }
                for status, description in _ERRORS.items()
            },
        },
    }
    if route.description:
        operation["description"] = route.description
    if route.tags:
        operation["tags"] = list(route.tags)
    if route.deprecated:
        operation["deprecated"] = True
    return operation


_PARAMETERS = [
    {
        "name": "arrays",
        "in": "query",
        "description": "How arrays are spelt in the answer",
        "schema": {"type": "string", "enum": ["dense", "list"], "default": "dense"},
    },
    {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "Seconds after which the request is given up",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
]


def _body_schema(route: Route, references: Mapping[Any, Any]) -> dict[str, Any]:
    reference: dict[str, Any] = {"$ref": _REF.format(name="PostBody")}
    if route.parameters in references:
        required = ["parameters"] if any(field.required for field in _fields(route.parameters)) else []
        return {**reference, "properties": {"parameters": references[route.parameters]}, "required": required}
    return reference if route.endpoint is not None else {**reference, "required": ["execEndpoint"]}


def _example(route: Route) -> dict[str, Any]:
    example: dict[str, Any] = {"data": [{"text": "hello world"}]}
    return example if route.endpoint is not None else {**example, "execEndpoint": "/index"}


def _fields(kind: Any) -> Any:
    info: Any = msgspec.inspect.type_info(kind)
    return info.fields


def _schemas(parameters: Sequence[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """How to refer to each of *parameters*' types, and the schemas of them and of all messages, by their names.

    A type with fields of which there is no schema is left out.
    """
    described = [kind for kind in dict.fromkeys(parameters) if _describable(kind)]
    kinds = [PostBody, PostAnswer, Problem, *described]
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    document = {"$ref": _REF.format(name="Document")}
    item = {"anyOf": [document, {"type": "string", "description": "A document with this text"}]}
    schemas["Document"]["additionalProperties"] = {"description": "What is no field of a document becomes a tag"}
    schemas["PostBody"]["properties"]["data"] = {
        "description": "Documents: one, a list of them, or beside them what they should have become",
        "anyOf": [{"type": "array", "items": item}, item, {"$ref": _REF.format(name="Data")}, {"type": "null"}],
        "default": None,
    }
    return dict(zip(kinds, references, strict=True)), schemas


def _describable(kind: Any) -> bool:
    try:
        msgspec.json.schema(kind)
    except TypeError:
        return False
    return True
