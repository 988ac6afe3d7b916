"""Several engines of one executor, as one; and what cannot be copied."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from twisted.internet.defer import DeferredList

from tests.support import asking, request, wait_for
from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, Flow, requests
from twisted_flow.assembly.banner import where
from twisted_flow.assembly.copies import engine_of
from twisted_flow.errors import DeadlineExceeded
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.limits import Limits
from twisted_flow.testing import MemoryFlow


class Model(Executor):
    """Blocks; knows which copy it is."""

    @requests(on="/which")
    def which(self, docs: DocumentArray) -> None:
        told = self.runtime_args
        docs[0].text = f"{told.shard_id}/{told.shards} {told.replica_id}/{told.replicas} {threading.get_ident()}"

    @requests(on="/all")
    def all(self, docs: DocumentArray) -> None:
        docs[0].tags[str(self.runtime_args.shard_id)] = True

    @requests(on="/wait")
    def wait(self, docs: DocumentArray) -> None:
        threading.Event().wait(float(docs[0].text))


class Quick(Executor):
    """Never blocks."""

    @requests
    async def f(self) -> None:
        pass


def made(word: str | None = None, uses: Any = Model, **spec: Any) -> Any:
    return engine_of(ExecutorSpec(uses=uses, name="m", **spec), word, Limits())


def test_threads() -> None:
    """Replicas of a ``def`` are threads; each is asked in turn, and knows its numbers."""
    engine = made(replicas=2, shards=2)
    wait_for(engine.start)
    asked = [request(Document(), endpoint="/which") for _ in range(8)]
    answers = wait_for(lambda: DeferredList([asking(engine, each) for each in asked]))
    told = [response.docs[0].text.split() for _, response in answers]
    assert {(shard, replica) for shard, replica, _ in told} == {
        (f"{shard}/2", f"{replica}/2") for shard in (0, 1) for replica in (0, 1)
    }
    assert len({thread for _, _, thread in told}) == 4
    assert where(engine) == "thread × 2 × 2"
    described = engine.describe()
    assert (described["health"], len(described["shards"]), len(described["shards"][0]["copies"])) == ("ready", 2, 2)
    wait_for(engine.stop)


def test_in_a_flow() -> None:
    """A flow's executor may be any of these; ``polling`` says which endpoint goes to all shards."""
    flow = Flow().add(Model, name="m", shards=3, polling={"/all": "all", "*": "any"})
    with MemoryFlow(flow) as served:
        assert served.post("/all", Document(), return_results=True)[0].docs[0].tags == {"0": True, "1": True, "2": True}
        assert len(served.post("/which", Document(), return_results=True)[0].docs) == 1


def test_time_of_its_own() -> None:
    """``timeout`` bounds the calls of an executor, and those of a request that has less time keep that."""
    flow = Flow().add(Model, timeout=0.1)
    with MemoryFlow(flow) as served:
        for text, timeout, told in (("0.5", None, "0.1"), ("0.5", 60, "0.1"), ("0.5", 0.05, "0.05")):
            with pytest.raises(DeadlineExceeded, match=f"not finished within {told} s"):
                served.post("/wait", Document(text), timeout=timeout)


def test_max_concurrency() -> None:
    """It is each copy's window."""
    assert made(max_concurrency=3, replicas=2).window == 1  # none serves yet, and says so
    engine = made(max_concurrency=3, replicas=2)
    wait_for(engine.start)
    assert engine.window == 6
    wait_for(engine.stop)
    assert made(uses=Quick, max_concurrency=7).window == 7


@pytest.mark.parametrize(
    ("spec", "word", "told"),
    [
        ({"uses": Quick, "replicas": 2}, None, "copies gain nothing"),
        ({"replicas": 2}, "inline", "copies need threads or processes"),
        ({"uses": Model(), "replicas": 2}, None, "an object cannot be copied: give its class"),
        ({"env": {"A": "b"}}, None, "for a process of its own: say engine='process' too"),
        ({"devices": ("0",)}, "thread", "for a process of its own: say engine='process' too"),
    ],
)
def test_what_cannot_be(spec: dict[str, Any], word: str | None, told: str) -> None:
    """One line says why."""
    with pytest.raises(ConfigurationError, match=told) as wrong:
        made(word, **spec)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"replicas": 0}, "replicas=0: it is a number from 1"),
        ({"shards": "2"}, "shards='2': it is a number"),
        ({"replicas": True}, "replicas=True"),
        ({"polling": "some"}, "polling='some': it is 'any' or 'all'"),
        ({"polling": {"/a": "one"}}, "polling='one'"),
        ({"timeout": 0}, "timeout=0: it is a number of seconds"),
        ({"max_concurrency": -1}, "max_concurrency=-1"),
    ],
)
def test_numbers(said: dict[str, Any], told: str) -> None:
    """What makes no sense is refused where it is said."""
    with pytest.raises(ConfigurationError, match=told):
        Flow().add(Model, **said)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each copy, in turn; those of the user's environment stand."""
    engine = made("process", replicas=3, devices=("0", "5"))
    assert [each.spec.env for each in engine.engines] == [{"CUDA_VISIBLE_DEVICES": n} for n in ("0", "5", "0")]
    assert made("process", devices=("7",)).spec.env == {"CUDA_VISIBLE_DEVICES": "7"}
    assert made("process", devices=("7",), env={"CUDA_VISIBLE_DEVICES": "1"}).spec.env == {"CUDA_VISIBLE_DEVICES": "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert made("process", devices=("7",)).spec.env == {}
