"""A flow in YAML."""

from __future__ import annotations

import inspect
import pathlib
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphs import Add, Rank
from twisted_flow import ConfigurationError, Document, Executor, Flow, requests
from twisted_flow.assembly.flow_schema import Entry, Exposed, Settings
from twisted_flow.limits import Limits

ENCODER = """
from twisted_flow import Executor, requests

class Encoder(Executor):
    def __init__(self, dimensions):
        self.dimensions = dimensions

    @requests
    def encode(self, docs, **kwargs):
        for doc in docs:
            doc.tags["encoded"] = [self.dimensions, self.metas.name, bool(self.metas.workspace)]
"""
FLOW = """
jtype: Flow
version: '1'
with:
  protocol: [http, websocket, grpc]
  limits: {max_body: 1000}
executors:
  - name: encode
    uses: Encoder                # a class of py_modules
    py_modules: [encoder.py]
    uses_with: {dimensions: ${{ ENV.DIMENSIONS }}}
    engine: thread
  - name: keywords
    uses: keywords.py:keywords
    needs: gateway
  - name: rank
    needs: [encode, keywords]
"""
KEYWORDS = """
def keywords(docs, **kwargs):
    for doc in docs:
        doc.tags["keywords"] = doc.text.split()
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    (tmp_path / "encoder.py").write_text(ENCODER)
    (tmp_path / "keywords.py").write_text(KEYWORDS)
    (tmp_path / "flow.yml").write_text(FLOW)
    monkeypatch.setenv("DIMENSIONS", "3")
    return tmp_path


def tags(flow: Flow) -> Any:
    with flow:
        return flow.post("/", "a b", return_results=True)[0].docs[0].tags


def test_served(folder: pathlib.Path) -> None:
    """What the file describes is served; its files are looked for beside it; arguments win over what it says."""
    flow = Flow.load_config(folder / "flow.yml", host="127.0.0.1", protocol="websocket")
    assert (flow.protocol, flow.config.limits.max_body, flow["rank"].needs) == (
        "websocket",
        1000,
        ("encode", "keywords"),
    )
    assert tags(flow) == {"encoded": [3, "Encoder", False], "keywords": ["a", "b"]}


def test_executor_file(folder: pathlib.Path) -> None:
    """An executor has a file of its own, which a flow names; what the flow says wins."""
    (folder / "encoder.yml").write_text(
        "jtype: Encoder\nwith: {dimensions: 7}\nmetas:\n  name: mine\n  workspace: $WHERE\n  py_modules: encoder.py\n"
    )
    text = (
        "with: {protocol: http, host: 127.0.0.1}\nexecutors:\n  - uses: encoder.yml\n    uses_with: {dimensions: 8}\n"
    )
    (folder / "other.yml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERE", str(folder))
        assert tags(Flow.load_config(folder / "other.yml")) == {"encoded": [8, "mine", True]}


def test_modules_of_both(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that an executor's file names is looked for in the flow's modules too."""
    monkeypatch.chdir(folder)
    (folder / "encoder.yml").write_text("jtype: Encoder\n")
    flow = Flow(protocol="http", host="127.0.0.1")
    flow.add("encoder.yml", py_modules="encoder.py", uses_with={"dimensions": 2})
    assert tags(flow) == {"encoded": [2, "Encoder", False]}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("engine: thread", "engin: thread", "flow.yml:12:5: there is no key 'engin'; did you mean 'engine'?"),
        (
            "engine: thread",
            "engine: thred",
            "engine='thred': the engines are inline, thread, process; did you mean 'thread'?",
        ),
        ("protocol: [", "protcol: [", "flow.yml:5:3: there is no key 'protcol'; did you mean 'protocol'?"),
        ("[http, w", "[htp, w", "flow.yml:5:3: protocol='htp'"),
        ("max_body: 1000", "max_body: 0", "flow.yml:6:12: with.limits.max_body: Expected `int` >= 1"),
        ("max_body: 1000", "max_bdy: 1000", "flow.yml:6:12: there is no key 'max_bdy'; did you mean 'max_body'?"),
        (
            "needs: [encode,",
            "needs: [encod,",
            "flow.yml:16:5: 'rank' needs 'encod', and there is no such executor; did you",
        ),
        ("name: keywords", "name: encode", "flow.yml:13:5: two executors are named 'encode'"),
        ("keywords.py:keywords", "keywrds.py:keywords", "flow.yml:13:5: "),
        ("uses: Encoder ", "uses: Encodr ", "flow.yml:8:5: there is no executor 'Encodr' in"),
        (
            "{dimensions:",
            "{dimension:",
            "flow.yml:8:5: uses_with of encode: missing a required argument: 'dimensions'; did",
        ),
        ("[encoder.py]", "[encodr.py]", "flow.yml:8:5: "),
        (
            "${{ ENV.DIMENSIONS }}",
            "'${{ env.DIMENSIONS }}'",
            "flow.yml:11:17: after a dollar stands {NAME} or {{ ENV.NAME }}",
        ),
        ("jtype: Flow", "jtype: Flw", "flow.yml:2:1: jtype: Invalid enum value 'Flw'; did you mean 'Flow'?"),
        ("executors:", "executors: 5\nx:", "flow.yml:7:1"),
    ],
)
def test_mistakes(folder: pathlib.Path, old: str, new: str, said: str) -> None:
    """One line tells file, line, column and what was meant."""
    (folder / "flow.yml").write_text(FLOW.replace(old, new))
    with pytest.raises(ConfigurationError) as raised:
        Flow.load_config(folder / "flow.yml").start()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_arguments() -> None:
    """What may stand in a file is what may be said in Python."""
    for kind, function in ((Settings, Flow.__init__), (Entry, Flow.add), (Exposed, Flow.expose_endpoint)):
        said = {field.encode_name for field in msgspec.structs.fields(kind)} - {"floating"}
        assert said == set(inspect.signature(function).parameters) - {"self", "ignored"}


class Sub:
    """Holds an executor."""

    class Inner(Executor):
        """Has a qualified name."""

        @requests
        async def f(self) -> None:
            pass


NAMES = st.text("abc$ é", min_size=1, max_size=6).filter(lambda name: name != "gateway")
VALUES = st.dictionaries(st.text("ab$", min_size=1), st.integers() | st.text() | st.lists(st.booleans()), max_size=2)


@st.composite
def flows(draw: Any) -> Flow:
    protocols = draw(st.lists(st.sampled_from(["http", "websocket", "grpc"]), min_size=1, unique=True))
    flow = Flow(
        protocol=protocols,
        port=draw(st.none() | st.just(list(range(2000, 2000 + len(protocols))))),
        name=draw(NAMES),
        cors=draw(st.booleans() | st.just(["https://a.example"])),
        title=draw(st.none() | NAMES),
        description=draw(st.text(max_size=8)),
        docs=draw(st.booleans()),
        no_crud_endpoints=draw(st.booleans()),
        workspace=draw(st.none() | NAMES),
        limits=draw(
            st.none() | st.builds(Limits, max_body=st.integers(1, 10**9), timeout=st.none() | st.floats(0.1, 9))
        ),
    )
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        earlier = ["gateway", *(flow[n].name for n in range(flow.num_executors))]
        options = {
            "uses": draw(
                st.sampled_from([None, Add, Rank, Sub.Inner, "tests.graph.test_topology:Add", "there/mine.py:X"])
            ),
            "needs": draw(st.none() | st.lists(st.sampled_from(earlier), min_size=1, unique=True)),
            "engine": draw(st.sampled_from([None, "thread"])),
            "uses_with": draw(VALUES),
            "uses_metas": draw(VALUES),
            "uses_requests": draw(st.dictionaries(st.text(), st.text(), max_size=1)),
        }
        (flow.inspect if draw(st.booleans()) else flow.add)(name=name, **options)
    if draw(st.booleans()):
        flow.expose_endpoint("/foo", path="/bar", methods=["PUT"], summary=draw(st.none() | st.text()), tags=["a"])
    return flow


@settings(max_examples=60)
@given(flows())
def test_round_trip(flow: Flow) -> None:
    """A flow that is saved and loaded is the same flow, and is written the same way again."""
    text = flow.save_config()
    again = Flow.load_config(text)
    assert again.save_config() == text
    mine, its = flow.config, again.config
    assert msgspec.structs.replace(its, nodes=()) == msgspec.structs.replace(mine, nodes=())
    for one, other in zip(mine.nodes, its.nodes, strict=True):
        assert (one.name, one.needs, one.engine, one.floating) == (
            other.name,
            other.needs,
            other.engine,
            other.floating,
        )
        assert (one.spec is None) == (other.spec is None)
        if one.spec is not None and other.spec is not None:
            assert msgspec.structs.replace(one.spec, uses="") == msgspec.structs.replace(
                other.spec, uses="", location=""
            )


def test_saved(tmp_path: pathlib.Path) -> None:
    """What is saved is served again."""
    flow = Flow(protocol="http", host="127.0.0.1").add(Add, name="a", uses_with={"mark": "$a"}).add(Rank, needs="a")
    flow.save_config(tmp_path / "flow.yml")
    assert tags(Flow.load_config(tmp_path / "flow.yml")) == {"seen": [["$a"]]}


def test_saved_elsewhere(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are found from wherever the flow is saved."""
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder)
    flow = Flow(protocol="http", host="127.0.0.1").add("Encoder", py_modules="encoder.py", uses_with={"dimensions": 1})
    flow.add("keywords.py:keywords").save_config("elsewhere/flow.yml")
    monkeypatch.chdir("/")
    assert tags(Flow.load_config(folder / "elsewhere" / "flow.yml")) == {
        "encoded": [1, "Encoder", False],
        "keywords": ["a", "b"],
    }


def test_script(tmp_path: pathlib.Path) -> None:
    """A class of the script that runs cannot be saved: to load it would run the script again."""
    (tmp_path / "script.py").write_text(
        "from twisted_flow import Executor, Flow, requests\n"
        "class Mine(Executor):\n    @requests\n    def f(self): pass\n"
        "Flow().add(Mine).save_config()\n"
    )
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=60)
    assert done.stderr.endswith("executor0: Mine is of the script that runs: put it into a module of its own\n")


def test_beside_the_script(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of a module beside the script that runs is found from elsewhere, by that module's path."""
    (tmp_path / "lies_beside.py").write_text(
        "from twisted_flow import Executor, requests\n"
        "class Mine(Executor):\n    @requests\n    def f(self, docs): docs[0].tags['mine'] = True\n"
    )
    (tmp_path / "script.py").write_text(
        "from lies_beside import Mine\nfrom twisted_flow import Flow\n"
        "Flow(protocol='http', host='127.0.0.1').add(Mine).save_config('flow.yml')\n"
    )
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=60)
    monkeypatch.chdir("/")
    assert tags(Flow.load_config(tmp_path / "flow.yml")) == {"mine": True}


def test_options_are_not_the_files_mistake(folder: pathlib.Path) -> None:
    """What is wrong with an argument is not told of the file."""
    with pytest.raises(ConfigurationError, match="^protocol='htp'"):
        Flow.load_config(folder / "flow.yml", protocol="htp")


def test_what_has_no_name() -> None:
    """What a file cannot name is told in one line."""

    class Local(Executor):
        @requests
        async def f(self) -> None:
            pass

    for uses in (Local, lambda docs: None, Add("x")):
        with pytest.raises(ConfigurationError, match="mine: a file cannot name"):
            Flow().add(uses, name="mine").save_config()


def test_older_names() -> None:
    """``pods`` are executors."""
    flow = Flow.load_config("jtype: Flow\npods:\n  - name: a\n  - name: b\n")
    assert [flow[0].name, flow["b"].needs] == ["a", ("a",)]
    assert Flow.load_config("\n").num_executors == 0
    assert Document("x").text == "x"
