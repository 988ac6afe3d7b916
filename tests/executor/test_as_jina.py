"""Executors, and what they are told, as Jina 2's programs have it."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, Flow, requests
from twisted_flow.testing import MemoryFlow, call


class Says(Executor):
    """Says what it was told."""

    def __init__(self, bar: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bar = bar

    @requests
    def say(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> None:
        for document in docs:
            document.tags[self.runtime_args.name] = parameters.get("p")
            document.text += f"{self.bar}"

    def other(self, docs: DocumentArray, **kwargs: Any) -> None:
        for document in docs:
            document.text = "other"


class Passes(Executor):
    """It has no endpoint."""


def flow(*executors: dict[str, Any]) -> Flow:
    made = Flow(protocol="http")
    for each in executors:
        made.add(**{"uses": Says, **each})
    return made


def texts(made: Flow, on: str = "/", **options: Any) -> list[Any]:
    with MemoryFlow(made) as served:
        return [each.text for each in served.post(on, Document("x"), return_results=True, **options)[0].docs]


def test_without_endpoints() -> None:
    """Documents pass through one of our own class; another class without endpoints is a mistake."""
    assert texts(flow({"uses": Passes}, {})) == ["x1"]
    assert texts(flow({"uses": Passes()})) == ["x"]
    with pytest.raises(ConfigurationError, match="no method marked with @requests"):
        texts(flow({"uses": type("Plain", (), {})}))


def test_names_of_those_without_one() -> None:
    """``pod0`` and so on in ``needs`` and ``target_peapod``, beside ``executor0``."""
    made = flow({}, {"needs": "gateway"}, {"needs": ["pod0", "executor1"]})
    assert made[2].needs == ("executor0", "executor1")
    assert texts(flow({}, {}), target_peapod="pod1") == texts(flow({}, {}), target_peapod="executor1") == ["x1"]
    assert texts(flow({"name": "pod0"}, {}), target_peapod="pod") == ["x11"]
    assert flow({"name": "pod0"}, {"name": "b", "needs": "pod0"})["b"].needs == ("pod0",)


@pytest.mark.parametrize("uses", [Says, "plain"])
def test_parameters_of_one(uses: Any) -> None:
    """Those under the name of an executor, or of its ``metas``, are its own, on top of the others."""

    def plain(docs: DocumentArray, parameters: dict[str, Any]) -> None:
        docs[0].tags["plain"] = parameters["p"]

    made = flow({"name": "a"}, {"name": "b", "uses_metas": {"name": "m"}}, {"name": "c"}, {"uses": plain, "name": "d"})
    parameters = {"p": 5, "a": {"p": 10}, "m": {"p": 20}, "d": {"p": 30}, "c": "no dict"}
    with MemoryFlow(made) as served:
        (response,) = served.post("/", Document(), parameters=parameters, return_results=True)
        assert response.docs[0].tags == {"a": 10, "b": 20, "c": 5, "plain": 30}
        assert response.parameters == parameters


def test_a_call_without_documents() -> None:
    """It is sent, and answered, whatever says that there are none."""
    with MemoryFlow(flow({})) as served:
        for nothing in (None, [], (), iter([])):
            (response,) = served.post("/", nothing, parameters={"p": 1}, return_results=True)
            assert response.docs == []


def test_what_it_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``metas`` are the class's, ``runtime_args`` the flow's; a workspace is there in any case."""
    assert Says().metas.name == "Says"
    seen: dict[str, Any] = {}

    class Looks(Executor):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            seen.update(vars(self.metas), runtime=self.runtime_args.name, workspace=self.workspace)

        @requests
        def f(self) -> None:
            pass

    monkeypatch.setenv("TWISTED_FLOW_WORKSPACE", str(tmp_path))
    call(Looks, "/", name="rr", uses_with={"whatever": 1})
    expected = {"name": "Looks", "description": "", "py_modules": "", "runtime": "rr"}
    assert seen == expected | {"workspace": str(tmp_path / "rr")}
    call(Looks, "/", uses_metas={"name": "mine", "description": "d"})
    assert (seen["name"], seen["description"]) == ("mine", "d")


MODULE = "from tests.executor.test_as_jina import Says as FileSays\n"
YAML = (
    "{head}\nwith: {{bar: 7}}\nmetas:\n  name: n\n  description: d\n  py_modules: [mine.py]\nrequests:\n  /z: other\n"
)


@pytest.mark.parametrize("head", ["jtype: FileSays", "!FileSays"])
@pytest.mark.parametrize("kind", ["file", "text", "flow"])
def test_yaml(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, head: str, kind: str) -> None:
    """In both spellings: in a file of its own, as a text, or inside a flow's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)
    text = YAML.format(head=head)
    if kind == "file":
        (tmp_path / "e.yml").write_text(text)
        made = flow({"uses": "e.yml"})
    elif kind == "text":
        made = flow({"uses": text})
    else:
        uses = "\n".join(f"      {line}" for line in text.splitlines())
        uses = uses.replace("      !FileSays\n", "") if head[0] == "!" else uses
        tag = " !FileSays" if head[0] == "!" else ""
        (tmp_path / "flow.yml").write_text(
            f"!Flow\nwith: {{protocol: http}}\nexecutors:\n  - name: a\n    uses:{tag}\n{uses}\n"
        )
        with (tmp_path / "flow.yml").open() as file:
            made = Flow.load_config(file)
    assert texts(made) == ["x7"]
    assert texts(made.copy(), "/z") == ["other"]


def test_dicts() -> None:
    """What a file says, as a dict."""
    uses = {"jtype": f"{__name__}:Says", "with": {"bar": 3}, "metas": {"name": "n"}}
    assert texts(flow({"uses": uses})) == ["x3"]
    with pytest.raises(ConfigurationError, match="jtyp"):
        texts(flow({"uses": {"jtyp": "x"}}))


def test_class_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name alone."""
    import sys

    monkeypatch.setattr(sys.modules["__main__"], "OfTheScript", Says, raising=False)
    assert texts(flow({"uses": "OfTheScript"})) == ["x1"]


def test_copy() -> None:
    """``flow.copy()`` is another flow, which says the same."""
    first = flow({})
    second = first.copy().add(uses=Says)
    assert (first.num_executors, second.num_executors) == (1, 2)
    assert texts(second) == ["x11"]
    assert texts(first) == ["x1"]


class TestOldArguments:
    def test_ignored(self) -> None:
        """Those that mean nothing here are taken, with one warning for a call."""
        with pytest.warns(UserWarning, match=r"Flow\(\): prefetch, quiet mean nothing here") as warned:
            made = Flow(protocol="HTTP", port_expose="12346", quiet=True, prefetch=10)
        assert len(warned) == 1
        assert (made.protocol, made.port_expose) == ("http", 12346)
        with pytest.warns(UserWarning, match=r"add\(\): timeout_ready mean"):
            made.add(uses=Says, timeout_ready=1000)

    def test_unknown(self) -> None:
        """Others stay mistakes, with the nearest that there is."""
        with pytest.raises(
            TypeError, match=r"Flow\(\) got an unexpected keyword argument 'titel'; did you mean 'title'"
        ):
            Flow(titel="x")
        with pytest.raises(TypeError, match=r"add\(\) got an unexpected keyword argument 'use'; did you mean 'uses'"):
            Flow().add(use=Says)

    def test_in_a_file(self) -> None:
        """In YAML too."""
        text = "jtype: Flow\nwith: {protocol: websocket, prefetch: 5}\nexecutors:\n  - name: a\n    timeout_ready: 5\n"
        with pytest.warns(UserWarning, match="timeout_ready"):
            assert Flow.load_config(text).protocol == "websocket"
        with pytest.raises(ConfigurationError, match="'timeout_reedy'"):
            Flow.load_config(text.replace("ready", "reedy"))


def test_names_of_a_flow() -> None:
    """Those that cost nothing."""
    made = flow({"name": "a"}).inspect(name="i").gather_inspect().build()
    assert made.num_pods == 4
    made.port_expose = "12347"
    assert made.port == 12347
    assert (
        Flow.load_config("with: {protocol: http}\njtype: Flow\n", override_with={"protocol": "websocket"}).protocol
        == "websocket"
    )
