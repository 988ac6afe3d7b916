"""The OpenAPI document of a flow, made from the very types that decode its requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...codec.bodies import PostAnswer, PostBody
from ...executor.parameters import is_model
from ...limits import LONGEST_NAME, SHORTEST_TIMEOUT
from ...version import __version__
from .event_streams import EVENTS, LINES
from .examples import example_of
from .problem import CONTENT_TYPE, Problem
from .routes import HTTPSettings, Route
from .schemas import sharpen

__all__ = ["openapi"]

_REF = "#/components/schemas/{name}"
_ERRORS = {
    "400": "The body is not JSON",
    "406": "Accept leaves JSON out",
    "413": "The body is larger than it may be",
    "415": "The body is not application/json",
    "422": "A field is wrong; `errors` names it",
    "500": "An executor failed",
    "503": "Too many requests wait, or the server is stopping",
    "504": "The request's time ran out",
}

_DENIALS = {"401": "No credentials, or some that nobody knows", "403": "Who asks may not"}


def openapi(settings: HTTPSettings, routes: tuple[Route, ...]) -> dict[str, object]:
    """The OpenAPI 3.1 document of a gateway with *settings* and *routes*."""
    references, schemas = _schemas([route.parameters for route in routes if route.parameters is not None])
    paths: dict[str, object] = {}
    errors = {**_ERRORS, **_DENIALS} if settings.authenticated else _ERRORS
    for route in routes:
        if route.include_in_schema:
            paths[route.path] = {
                method.lower(): _operation(route, method, references, schemas, errors) for method in route.methods
            }
    if settings.debug_endpoints:
        paths["/status"] = {"get": _STATUS}
    secured: dict[str, object] = {"security": [{"bearer": []}]} if settings.authenticated else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": settings.title, "description": settings.description, "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, **({"securitySchemes": _SCHEMES} if secured else {})},
        **secured,
    }


_SCHEMES = {"bearer": {"type": "http", "scheme": "bearer", "description": "A token of the server's file of tokens"}}

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


def _operation(
    route: Route,
    method: str,
    references: Mapping[object, object],
    schemas: Mapping[str, object],
    errors: Mapping[str, str],
) -> dict[str, object]:
    name = route.name or route.path.strip("/").replace("/", "_") or "root"
    first = method == route.methods[0]
    operation: dict[str, object] = {
        "summary": route.summary or f"Post data to {route.endpoint or 'an endpoint'}",
        "description": "\n\n".join(filter(None, [route.description, _HEADERS])),
        "operationId": (route.operation_id or name) + ("" if first else f"_{method.lower()}"),
        "parameters": _PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _body_schema(route, references, schemas),
                    "example": _example(route, references, schemas),
                }
            },
        },
        "responses": {
            str(route.status_code): {
                "description": route.response_description,
                "content": {
                    "application/json": {"schema": {"$ref": _REF.format(name="PostAnswer")}},
                    **(_STREAMS if route.streams else {}),
                },
            },
            **{
                status: {
                    "description": description,
                    "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
                }
                for status, description in sorted(errors.items())
            },
        },
    }
    if route.tags:
        operation["tags"] = list(route.tags)
    if route.deprecated:
        operation["deprecated"] = True
    return operation


_STREAMS = {
    media_type: {
        "schema": {
            "description": f"Each document as it is made, as {item}; at last {end}, with routes and status",
            "type": "array",
            "items": {"$ref": _REF.format(name="Document")},
        }
    }
    for media_type, item, end in (
        (EVENTS, "a server-sent event", "the event `end`, or `error`"),
        (LINES, "a line of JSON", "a line with `status`, or a problem"),
    )
}
"""For who asks for them by Accept. (As OpenAPI 3.2 has it, the schema of such a body is that of an array of its parts.)
"""

_HEADERS = (
    f"Header fields: `X-Request-Timeout`, the seconds ({SHORTEST_TIMEOUT:g} or more) after which it is given up; "
    "`X-Request-ID`, the request's id where the body names none (up to 128 printable characters). A body of type "
    "`application/jsonl` has a document in each line; its first line may be a request, without documents."
)  # as parameters they would say that there are no others
_PARAMETERS = [
    {
        "name": "arrays",
        "in": "query",
        "description": "How arrays are spelt in the answer",
        "schema": {"type": "string", "enum": ["dense", "list"], "default": "dense"},
    },
]


def _body_schema(route: Route, references: Mapping[object, Any], schemas: Mapping[str, Any]) -> dict[str, object]:
    """The schema of a body: the common one with the route's own fields merged in, as docs pages ignore siblings of
    references.
    """
    fields, required = {}, []
    if route.parameters in references:
        fields["parameters"] = references[route.parameters]
        if _required(references[route.parameters], schemas):
            required.append("parameters")
    if route.endpoint is None:
        fields["execEndpoint"] = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
        required.append("execEndpoint")
    if not fields:
        return {"$ref": _REF.format(name="PostBody")}
    body = schemas["PostBody"]
    return {**body, "properties": {**body["properties"], **fields}, "required": required}


def _example(route: Route, references: Mapping[object, Any], schemas: Mapping[str, object]) -> dict[str, object]:
    example: dict[str, object] = {"data": [{"text": "hello world"}]}
    if route.parameters in references:
        example["parameters"] = example_of(references[route.parameters], schemas)
    return example if route.endpoint is not None else {**example, "execEndpoint": "/index"}


def _required(reference: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    return bool(schemas[reference["$ref"].rpartition("/")[2]].get("required"))


def _schemas(parameters: Sequence[Any]) -> tuple[dict[object, object], dict[str, object]]:
    """How to refer to each of *parameters*' types, and the schemas of them and of all messages, by their names.

    A type with fields of which there is no schema is left out.
    """
    models = [kind for kind in dict.fromkeys(parameters) if is_model(kind)]
    described = [kind for kind in dict.fromkeys(parameters) if kind not in models and _describable(kind)]
    kinds = [PostBody, PostAnswer, Problem, *described]
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    document = {"$ref": _REF.format(name="Document")}
    item = {"anyOf": [document, {"type": "string", "description": "A document with this text"}]}
    for relatives in ("chunks", "matches"):
        schemas["Document"]["properties"][relatives]["items"] = item
    schemas["Document"]["additionalProperties"] = {"description": "What is no field of a document becomes a tag"}
    del schemas["PostBody"]["properties"]["status"]  # the same: over HTTP a request is one message
    del schemas["PostBody"]["properties"]["cancel"]  # which a WebSocket may ask for; here one closes the connection
    schemas["PostBody"]["properties"]["data"] = {
        "description": "Documents: one, a list of them, or beside them what they should have become",
        "anyOf": [{"type": "array", "items": item}, item, {"$ref": _REF.format(name="Data")}, {"type": "null"}],
        "default": None,
    }
    sharpen(schemas)
    found = dict(zip(kinds, references, strict=True))
    for kind in models:
        schema = kind.model_json_schema(ref_template=_REF.replace("{name}", "{model}"))
        schemas |= schema.pop("$defs", {})
        schemas[kind.__name__] = schema
        found[kind] = {"$ref": _REF.format(name=kind.__name__)}
    return found, schemas


def _describable(kind: object) -> bool:
    try:
        msgspec.json.schema(kind)
    except TypeError:
        return False
    return True
