"""The OpenAPI document, and the pages that show it in a real browser."""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.support import HELLO, HTTP, TIMEOUT, browser, post, serving
from twisted_flow import Document, FlowError
from twisted_flow.document.ndarray import DTYPE
from twisted_flow.executor.table import Endpoint
from twisted_flow.gateway.http.openapi import _HEADERS, openapi
from twisted_flow.gateway.http.routes import HTTPSettings, Route, flow_routes

EXPOSED = Route(
    path="/foo",
    endpoint="/foo",
    summary="my endpoint",
    tags=("mine",),
    methods=("PUT", "POST"),
    status_code=201,
    deprecated=True,
    operation_id="foo_it",
    description="All of it",
    response_description="Foo",
)
NAMES = sorted(name for name in np.sctypeDict if isinstance(name, str))
HIDDEN = Route(path="/hidden", endpoint="/hidden", include_in_schema=False)


def document(**settings: Any) -> dict[str, Any]:
    told = HTTPSettings(**settings)
    return json.loads(msgspec.json.encode(openapi(told, flow_routes(told, {}))))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "settings", [{}, {"exposed": (EXPOSED, HIDDEN)}, {"debug_endpoints": False, "crud_endpoints": False}]
)
def test_valid(settings: dict[str, Any]) -> None:
    """It is valid OpenAPI 3.1, its operations' ids are unique, and it is the same each time."""
    made = document(**settings)
    validate(made)
    assert made["openapi"].startswith("3.1")
    ids = [operation["operationId"] for path in made["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    assert made == document(**settings)


def test_streams() -> None:
    """Endpoints whose documents come one by one say so, in both forms; others do not."""
    streaming = Endpoint("/foo", "f", ("docs",), blocking=False, streams=True)
    told = HTTPSettings(exposed=(EXPOSED,))
    made: Any = json.loads(msgspec.json.encode(openapi(told, flow_routes(told, {"/foo": streaming}))))
    validate(made)
    whole = "application/json"
    for path, method, status, types in (
        ("/foo", "put", "201", [whole, "text/event-stream", "application/jsonl"]),
        ("/post", "post", "200", [whole, "text/event-stream", "application/jsonl"]),
        ("/index", "post", "200", [whole]),
    ):
        content = made["paths"][path][method]["responses"][status]["content"]
        assert list(content) == types
        for each in types[1:]:
            assert content[each]["schema"]["items"] == {"$ref": "#/components/schemas/Document"}


def test_exposed() -> None:
    """What is said of an endpoint shows."""
    paths = document(exposed=(EXPOSED, HIDDEN))["paths"]
    assert "/hidden" not in paths
    put, again = paths["/foo"]["put"], paths["/foo"]["post"]
    assert (put["summary"], put["tags"], put["deprecated"], put["description"]) == (
        "my endpoint",
        ["mine"],
        True,
        f"All of it\n\n{_HEADERS}",
    )
    assert (put["operationId"], again["operationId"]) == ("foo_it", "foo_it_post")
    assert put["responses"]["201"]["description"] == "Foo"


def test_docstrings_describe() -> None:
    """Where nobody described an endpoint, its method's docstring does."""
    from twisted_flow.executor.table import Endpoint

    (route,) = (
        r
        for r in flow_routes(
            HTTPSettings(), {"/index": Endpoint("/index", "f", (), blocking=False, summary="Keep it.")}
        )
        if r.path == "/index"
    )
    assert route.description == "Keep it."


def resolved(made: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": made["components"]})


@pytest.mark.parametrize(
    "body",
    [
        HELLO,
        {"data": ["a"]},
        {"data": "a"},
        {"data": None},
        {"data": {"docs": ["a"]}},
        {"data": [{"embedding": [1.5], "own": 1}]},
    ],
)
def test_matches_reality(body: dict[str, Any]) -> None:
    """Requests that are taken, their answers, and problems fit their schemas."""
    made = document()
    resolved(made, "PostBody").validate(body)
    (reply,) = HTTP().send(post("/index", body))
    assert reply.status == 200
    resolved(made, "PostAnswer").validate(reply.json)
    (wrong,) = HTTP().send(post("/index", {"data": 5}))
    resolved(made, "Problem").validate(wrong.json)
    assert not resolved(made, "PostBody").is_valid({"data": 5})


class Wanted(msgspec.Struct):
    k: int
    lang: str = "en"


def test_typed_parameters() -> None:
    """The body of a typed endpoint has all fields, its parameters' among them, and an example that is valid."""
    told = HTTPSettings()
    endpoint = Endpoint("/index", "f", ("docs", "parameters"), blocking=False, parameters=Wanted)
    made = json.loads(msgspec.json.encode(openapi(told, flow_routes(told, {"/index": endpoint}))))
    content = made["paths"]["/index"]["post"]["requestBody"]["content"]["application/json"]
    schema = content["schema"]
    assert {"data", "parameters", "timeout", "requestId"} <= schema["properties"].keys()
    assert schema["properties"]["parameters"] == {"$ref": "#/components/schemas/Wanted"}
    assert schema["required"] == ["parameters"]
    assert content["example"]["parameters"] == {"k": 1, "lang": "en"}
    Draft202012Validator({**schema, "components": made["components"]}).validate(content["example"])
    plain = made["paths"]["/search"]["post"]["requestBody"]["content"]["application/json"]
    assert plain["schema"] == {"$ref": "#/components/schemas/PostBody"}


def test_what_is_not_for_http() -> None:
    """A connection is closed to cancel what was asked on it: the body has no word for that."""
    assert "cancel" not in document()["components"]["schemas"]["PostBody"]["properties"]
    assert not resolved(document(), "PostBody").is_valid({"timeout": 5e-324})
    for both in ({"text": "a", "uri": "b"}, {"blob": [1], "graph": {}}):
        assert not resolved(document(), "Document").is_valid(both)
    assert resolved(document(), "Document").is_valid({"text": "a", "uri": None, "graph": None})


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"text": None, "uri": None, "graph": None, "tags": None, "location": None}, True),
        ({"text": "a", "uri": None}, True),
        ({"chunks": ["a", {}], "matches": ["b"]}, True),
        ({"embedding": [[False], [1], [None]]}, True),
        ({"embedding": [[[1.5]]]}, True),
        ({"embedding": [[""]]}, False),
        ({"embedding": {"dense": {"buffer": "AAAAAA==", "shape": [1.0], "dtype": "<f4", "quantization": 0.0}}}, True),
        ({"embedding": {"dense": {"buffer": None, "shape": None, "dtype": None}, "sparse": None}}, True),
        ({"embedding": {"dense": {"buffer": "AAAA", "dtype": None}}}, False),
        ({"embedding": {"dense": {"originalDtype": "AAA"}}}, False),
        ({"embedding": {"dense": {"quantization": 3}}}, False),
        ({"embedding": {"dense": {"dtype": "u1", "shape": [0] * 65}}}, False),
        ({"embedding": {"dense": {}, "sparse": {"indices": {}, "values": {}, "shape": [1]}}}, False),
        ({"embedding": {"sparse": {"indices": {}, "values": {}, "shape": [1]}}}, True),
        ({"embedding": {"sparse": {"indices": {}, "values": None, "shape": [1]}}}, False),
        ({"scores": {"a": {"operands": [{"value": 3.4028235e38, "refId": None}]}}}, True),
        ({"scores": {"a": {"operands": [{"value": 3.5e38}]}}}, False),
    ],
)
def test_what_the_document_says_of_documents(fields: dict[str, Any], taken: bool) -> None:
    """The server takes what it takes."""
    assert resolved(document(), "Document").is_valid(fields) is taken
    try:
        Document.from_dict(fields)
    except FlowError:
        assert not taken
    else:
        assert taken


@given(st.one_of(st.from_regex(f"({DTYPE})", fullmatch=True), st.sampled_from(NAMES), st.text(max_size=4)))
def test_dtypes(name: str) -> None:
    """The document takes the dtypes that the server does."""
    dense = {"dtype": name, "shape": [0]}
    try:
        Document.from_dict({"embedding": {"dense": dense}})
    except FlowError:
        taken = False
    else:
        taken = True
    assert resolved(document(), "DenseNdArray").is_valid(dense) == taken or not name


def test_typed_parameters_in_a_browser(tmp_path: pathlib.Path) -> None:
    """Redoc shows the fields of a typed endpoint's parameters, beside those of any body; both in the example too."""
    (tmp_path / "typed.py").write_text(
        "import msgspec\nfrom twisted_flow import Executor, requests\n"
        "class Wanted(msgspec.Struct):\n    nearest_of_all: int\n"
        "class Typed(Executor):\n    @requests(on='/typed')\n"
        "    def typed(self, docs, parameters: Wanted): pass\n"
    )
    options = ("--uses=typed.py:Typed", "--expose-endpoint=/typed", "--no-crud-endpoints", "--no-debug-endpoints")
    with serving(*options, cwd=tmp_path) as server:
        url = f"http://127.0.0.1:{server.port}/redoc"  # type: ignore[attr-defined]
        command = browser(tmp_path, "--virtual-time-budget=20000", "--dump-dom", url)
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT)
    body = done.stdout.partition("<body")[2].replace("\u200b", "").replace("<wbr>", "")
    assert "execEndpoint" in body, done.stderr[-2000:]
    assert "targetPeapod" in body
    assert "nearest_of_all" in body


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_in_a_browser(tmp_path: pathlib.Path, path: str) -> None:
    """A browser that reaches nothing but the server shows the title and the routes."""
    with serving("--title=Mine of gold", "--expose-endpoint=/foo", cwd=tmp_path) as server:
        url = f"http://127.0.0.1:{server.port}{path}"  # type: ignore[attr-defined]
        command = browser(tmp_path, "--virtual-time-budget=20000", "--dump-dom", url)
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT)
    body = done.stdout.partition("<body")[2]
    assert "Mine of gold" in body, done.stderr[-2000:]
    for route in ("/foo", "/index", "/post"):
        assert route in body.replace("\u200b", "").replace("<wbr>", "")
