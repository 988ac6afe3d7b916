"""What ``docs/from-jina.md`` says works, and differs: each row runs."""

from __future__ import annotations

import asyncio
import pathlib
import re
from typing import Any

import numpy as np
import pytest

from tests.support import ROOT
from twisted_flow import (
    AsyncFlow,
    ConfigurationError,
    Document,
    DocumentArray,
    Executor,
    Flow,
    FlowError,
    dynamic_batching,
    requests,
)
from twisted_flow.testing import MemoryFlow, call


class E(Executor):
    """Says which executor it is, and what it was given."""

    @requests
    def f(self, docs: DocumentArray, parameters: dict[str, Any]) -> None:
        for document in docs:
            document.text += f"{self.runtime_args.name}{parameters.get('k', '')} "


class Batched(Executor):
    """Shares calls."""

    @dynamic_batching(preferred_batch_size=8, timeout=10)
    @requests
    def f(self, docs: DocumentArray, **kwargs: Any) -> None:
        for document in docs:
            document.text += str(len(docs))


class Passes(Executor):
    """Has no endpoint."""


def said(*adds: dict[str, Any], **post: Any) -> str:
    flow = Flow()
    for each in adds:
        flow.add(**{"uses": E, **each})
    with MemoryFlow(flow, codec="bytes") as served:
        return served.post("/x", Document(), return_results=True, **post)[0].docs[0].text.strip()


def yaml_forms(folder: pathlib.Path) -> list[str]:
    text = f"jtype: {__name__}:E\nwith: {{}}\n"
    (folder / "e.yml").write_text(text)
    bang = text.replace("jtype: ", "!")
    return [
        said({"uses": uses, "name": "n"}) for uses in (str(folder / "e.yml"), text, {"jtype": f"{__name__}:E"}, bang)
    ]


def responses(inputs: Any, **options: Any) -> list[Any]:
    with MemoryFlow(Flow().add(uses=E)) as served:
        found: list[Any] = served.post("/x", inputs, return_results=True, **options)
        return found


def document() -> Document:
    return Document("x", id="1", tags={"a": {"b": 2}}, scores={"m": 5}, chunks=[Document("c")], embedding=[0, 1])


WORKS: dict[str, Any] = {
    "`Document().text`": lambda _: (Document().text, Document().buffer, Document().uri) == ("", b"", ""),
    "`d.text += 'x'`": lambda _: Document("a").text + "x" == "ax",
    "`Document(d, copy=True)`": lambda _: [Document(each, copy=True) == each for each in (document(),)] == [True],
    "`Document({'mimeType'": lambda _: Document({"mimeType": "text/html", "lang": "en"}).tags == {"lang": "en"},
    "`d.chunks.append(": lambda _: document().chunks.append(Document("c")).parent_id == "1",
    "`d.matches.append(": lambda _: document().matches.append(Document("m"), weight=3).weight == 3,
    "`d.scores['m'].value": lambda _: document().scores["new"].value == 0,
    "`d.get_attributes(": lambda _: document().get_attributes("text", "scores__m__value", "tags__a__b") == ["x", 5, 2],
    "`d.tags__a__b`": lambda _: (
        (document().tags__a__b, document().scores__m__value, document().no__one) == (2, 5, None)
    ),
    "`docs.get_attributes(": lambda _: len(DocumentArray([document()]).traverse_flat(traversal_paths=["r", "c"])) == 2,
    "`docs + docs`": lambda _: len((DocumentArray([document()]) + DocumentArray([document()])).sample(2)) == 2,
    "`d.dict(prettify": lambda _: document().dict(prettify_ndarrays=True)["embedding"] == [0, 1],
    "`class E(Executor): pass`": lambda _: call(Passes, "/x", Document("x")).docs.texts == ["x"],
    "`uses='e.yml'`": lambda folder: yaml_forms(folder) == ["n"] * 4,
    "`needs='pod0'`": lambda _: said({}, {"needs": "pod0"}, target_peapod="pod1") == "executor1",
    "`parameters={'name'": lambda _: said({"name": "a"}, {"name": "b"}, parameters={"k": 1, "b": {"k": 2}}).startswith(
        "a1"
    ),
    "`f.post('/x', parameters=": lambda _: responses(None, parameters={"k": 1})[0].docs == [],
    "`f.post('/x', (Document()": lambda _: len(responses((Document(), Document()))[0].docs) == 2,
    "`AsyncFlow()": lambda _: asyncio.run(from_async_flow()) == ["executor0"],
    "`f.add(…).plot": lambda folder: "." in Flow().add(E).plot(folder / "f.svg").add(E).address_private,
    "`Document('a').content_hash`": lambda _: same_hashes(),
    "`d.uri = 'a.png'`": lambda _: with_uri("a.png").mime_type == "image/png",
    "`Document(content=3.5)`": lambda _: fails(TypeError, lambda: Document(content=3.5)),
    "`f.add(uses=E, replicas=2)`": lambda _: (
        said({"replicas": 2}, {"shards": 2, "polling": "all", "name": "s"}) == ("executor0 s")
    ),
    "`f.add(host='1.2.3.4'": lambda _: elsewhere() == ("1.2.3.4:12345",),
    "`@dynamic_batching(": lambda _: call(Batched, "/x", Document("x")).docs.texts == ["x1"],
    "`request_size=0`": lambda _: len(responses(["a"] * 150, request_size=0)) == 1,
    "`response.data.docs`": lambda _: (
        responses("a")[0].data.docs[0].text == responses("a")[0].dict()["data"]["docs"][0]["text"]
    ),
    "`Flow(protocol='HTTP'": lambda _: quietly(),
}


def elsewhere() -> Any:
    spec: Any = Flow().add(host="1.2.3.4", port=12345, external=True)[0].spec
    return spec.host


async def from_async_flow() -> list[str]:
    with AsyncFlow(host="127.0.0.1").add(uses=E) as flow:
        return [response.docs[0].text.strip() async for response in flow.post("/x", Document())]


def same_hashes() -> bool:
    one, other = (Document("a", chunks=[Document("c")] * number) for number in (1, 2))
    return one.content_hash == other.content_hash != Document("b").content_hash


def with_uri(uri: str) -> Document:
    document = Document("x")
    document.uri = uri
    return document


def quietly() -> bool:
    with pytest.warns(UserWarning, match="quiet"):
        return Flow(protocol="HTTP", port_expose="12345", quiet=True).port == 12345


def fails(error: type[BaseException], function: Any) -> bool:
    with pytest.raises(error):
        function()
    return True


class Two(Executor):
    """Fails."""

    @requests
    def f(self, docs_matrix: Any) -> None:
        assert len(docs_matrix) == 2


def of_lists() -> bool:
    first = Document("a")
    docs = DocumentArray([first])
    docs[0] = Document("b")
    return first.text == "a"


def twice() -> None:
    class Both(Executor):
        @requests(on="/a")
        def f(self) -> None: ...

        @requests(on="/a")
        def g(self) -> None: ...

    call(Both, "/a")


def same_flow() -> bool:
    flow = Flow()
    return flow.add(uses=E) is flow and flow.copy() is not flow


DIFFERS: dict[str, Any] = {
    "numbers in `tags`": lambda: type(Document(tags={"a": 1}).tags["a"]) is int,
    "`Document('https": lambda: [Document(each).content_type for each in ("https://a", "/etc/passwd")] == ["text"] * 2,
    "`f2 = f.add": same_flow,
    "assigning a text": lambda: Document(mime_type="text/html", text="x").mime_type == "text/html",
    "a failed request": lambda: fails(FlowError, lambda: call(Two, "/", Document())),
    "`docs[0] = d`": of_lists,
    "`d.foo = 1`": lambda: fails(AttributeError, lambda: setattr(Document(), "foo", 1)),
    "two methods": lambda: fails(ConfigurationError, twice),
    "`docs_matrix` is None": lambda: fails(FlowError, lambda: call(Two, "/", Document())),
    "a NameError": lambda: fails(TypeError, lambda: responses("a", foo=1)),
}


def rows(chapter: str) -> list[str]:
    page = (ROOT / "docs" / "from-jina.md").read_text().split(f"## {chapter}\n")[1].split("\n## ")[0]
    return [row[2:] for row in re.findall(r"^\| .*$", page, re.MULTILINE) if not row.startswith(("| |", "| Jina 2"))]


@pytest.mark.parametrize("row", rows("As it stands"))
def test_as_it_stands(row: str, tmp_path: pathlib.Path) -> None:
    """It does."""
    (program,) = [each for begin, each in WORKS.items() if row.startswith(begin)]
    assert program(tmp_path)


@pytest.mark.parametrize("row", rows("Different on purpose"))
def test_different(row: str) -> None:
    """It is."""
    (program,) = [each for begin, each in DIFFERS.items() if row.startswith(begin)]
    assert program()


def test_arrays_are_read_as_they_were_assigned() -> None:
    """(Where Jina has floats of another size, too.)"""
    assert Document(embedding=np.zeros(2, "f2")).embedding.dtype == np.dtype("f2")
