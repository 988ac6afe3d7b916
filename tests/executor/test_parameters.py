"""Parameters of a type: held to it, and described."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import httpx
import msgspec
import pytest
from msgspec import Meta, Struct
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support import TIMEOUT
from twisted_flow import Document, DocumentArray, Executor, Flow, requests
from twisted_flow.errors import ValidationError


class Search(Struct):
    """What a search may be told."""

    limit: Annotated[int, Meta(ge=1)] = 10
    fields: list[str] = []


@dataclasses.dataclass
class Ask:
    """A question."""

    question: str


class Weigh(TypedDict):
    """Weights by name."""

    weights: dict[str, float]


class Typed(Executor):
    """Every way to say a type."""

    @requests(on="/search")
    async def search(self, docs: DocumentArray, parameters: Search) -> None:
        """Find something."""
        docs[0].tags["found"] = [parameters.limit, parameters.fields]

    @requests(on="/ask")
    def ask(self, docs: DocumentArray, parameters: Ask, **kwargs: Any) -> None:
        docs[0].tags["found"] = parameters.question

    @requests(on="/weigh")
    async def weigh(self, docs: DocumentArray, parameters: Weigh) -> None:
        docs[0].tags["found"] = parameters["weights"]

    @requests(on="/maybe")
    async def maybe(self, docs: DocumentArray, parameters: Ask | None = None) -> None:
        assert parameters is not None
        docs[0].tags["found"] = parameters.question

    @requests(on="/any")
    async def anything(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        docs[0].tags["found"] = parameters


@pytest.fixture(scope="module", params=["http", "websocket", "grpc"])
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    built = Flow(protocol=request.param, host="127.0.0.1").add(Typed)
    with built:
        yield built


@pytest.mark.parametrize(
    ("endpoint", "parameters", "found"),
    [
        ("/search", {}, [10, []]),
        ("/search", {"limit": 3, "fields": ["a"], "more": 1}, [3, ["a"]]),
        ("/ask", {"question": "why"}, "why"),
        ("/weigh", {"weights": {"a": 1, "b": 0.5}}, {"a": 1, "b": 0.5}),
        ("/maybe", {"question": "why"}, "why"),
        ("/any", {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_good(flow: Flow, endpoint: str, parameters: dict[str, Any], found: Any) -> None:
    """The method gets an object of its type; defaults are filled in."""
    (response,) = flow.post(endpoint, Document("x"), parameters=parameters, return_results=True)
    assert response.docs[0].tags["found"] == found


@pytest.mark.parametrize(
    ("endpoint", "parameters", "said"),
    [
        ("/search", {"limit": 0}, "/parameters/limit: Expected `int` >= 1"),
        ("/search", {"fields": [1]}, "/parameters/fields/0: Expected `str`, got `int`"),
        ("/ask", {}, "/parameters: Object missing required field `question`"),
        ("/weigh", {"weights": {"a": "x"}}, "/parameters/weights: Expected `float`, got `str`"),
    ],
)
def test_bad(flow: Flow, endpoint: str, parameters: dict[str, Any], said: str) -> None:
    """What is not of the type is the caller's mistake, told with its place on every protocol."""
    with pytest.raises(ValidationError) as raised:
        flow.post(endpoint, Document("x"), parameters=parameters)
    assert said in str(raised.value)


def test_described() -> None:
    """OpenAPI has the types, and HTTP names the field that is wrong."""
    flow = Flow(protocol="http", host="127.0.0.1").add(Typed).expose_endpoint("/ask")
    with flow, httpx.Client(base_url=f"http://127.0.0.1:{flow.port}", timeout=TIMEOUT) as client:
        document = client.get("/openapi.json").json()
        wrong = client.post("/search", json={"data": ["x"], "parameters": {"limit": 0}})
    schemas = document["components"]["schemas"]
    assert schemas["Search"]["properties"]["limit"] == {"type": "integer", "minimum": 1, "default": 10}
    search = document["paths"]["/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    ask = document["paths"]["/ask"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert search["properties"]["parameters"] == {"$ref": "#/components/schemas/Search"}
    assert (search["required"], ask["required"]) == ([], ["parameters"])
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/parameters/limit")


def test_names() -> None:
    """Types of one name are told apart, and one that no schema can describe is left out."""

    def executor(kind: Any, on: str) -> Any:
        class Takes(Executor):
            @requests(on=on)
            async def f(self, parameters: Any) -> None:
                pass

        Takes.f.__annotations__["parameters"] = kind
        return Takes

    one = msgspec.defstruct("Search", [("a", int)], module="one")
    two = msgspec.defstruct("Search", [("b", int)], module="two")
    odd = dataclasses.make_dataclass("Odd", [("c", threading.Lock().__class__)])
    flow = Flow(protocol="http", host="127.0.0.1").add(executor(one, "/one")).add(executor(two, "/two"))
    flow.add(executor(odd, "/odd"))
    for on in ("/one", "/two", "/odd"):
        flow.expose_endpoint(on)
    with flow, httpx.Client(base_url=f"http://127.0.0.1:{flow.port}", timeout=TIMEOUT) as client:
        document = client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    found = {}
    for on in ("/one", "/two"):
        schema = document["paths"][on]["post"]["requestBody"]["content"]["application/json"]["schema"]
        name = schema["properties"]["parameters"]["$ref"].rpartition("/")[2]
        found[on] = list(document["components"]["schemas"][name]["properties"])
    assert found == {"/one": ["a"], "/two": ["b"]}


def test_outside_a_flow() -> None:
    """The method is a method like any other."""
    docs = DocumentArray([Document("x")])
    Typed().ask(docs, Ask("why"))
    assert docs[0].tags == {"found": "why"}
