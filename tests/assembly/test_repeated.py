"""Batches and retries in a flow: what its methods and its description say comes together."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest

from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, Flow, dynamic_batching, requests
from twisted_flow.assembly.wiring import checked
from twisted_flow.testing import MemoryFlow


class Sizes(Executor):
    """Tells in how large a company each document came."""

    @requests(on="/marked")
    @dynamic_batching(preferred_batch_size=4, timeout=10_000)
    def marked(self, docs: DocumentArray) -> None:
        for document in docs:
            document.tags["of"] = len(docs)

    @requests(on="/plain", idempotent=True)
    async def plain(self, docs: DocumentArray) -> None:
        self.marked(docs)

    @requests(on="/context")
    def context(self, docs: DocumentArray, context: Any) -> None:
        self.marked(docs)


def sizes(endpoint: str, *requests: int, **options: Any) -> list[int]:
    """In how large a company the first document of each of *requests* came."""

    async def ask() -> list[int]:
        with MemoryFlow(Flow().add(Sizes, **options), asyncio=True) as flow:

            async def post(documents: int) -> int:
                docs = [Document() for _ in range(documents)]
                (company,) = [each.docs[0].tags["of"] async for each in flow.post(endpoint, docs)]
                return int(company)

            return await asyncio.gather(*map(post, requests))

    return asyncio.run(ask())


class TestBatch:
    @pytest.mark.parametrize("engine", ["thread", "process", "inline"])
    def test_marked(self, engine: str) -> None:
        """Requests of several callers share a call, wherever the executor runs."""
        assert sizes("/marked", 2, 1, 1, engine=engine) == [4, 4, 4]

    def test_replicas(self) -> None:
        """A batch goes to one replica."""
        assert sizes("/marked", *[1] * 8, replicas=2) == [4] * 8

    def test_said(self) -> None:
        """What the flow says wins over the method's mark, and gives a mark to one that has none."""
        two = {"preferred_batch_size": 2, "timeout": 10_000}
        assert sizes("/marked", 1, 1, 1, 1, batch={"/marked": two, "/plain": two}) == [2] * 4
        assert sizes("/plain", 1, 1, batch={"/plain": two}) == [2, 2]
        assert sizes("/plain", 1, 1) == [1, 1]

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"batch": 8}, "e: context asks for 'context', .*: let batch= name the endpoints that share calls"),
            ({"batch": {"/context": 8}}, "e: context asks for 'context', which belongs to one request: it cannot be"),
            ({"batch": {"/markt": 8}}, "e: batch= names the endpoint '/markt', .*did you mean '/marked'"),
            ({"retries": -1}, "e: retries=-1: it is a number from 0 to 100"),
            ({"retries": True}, "e: retries=True: "),
        ],
    )
    def test_mistakes(self, options: Any, told: str) -> None:
        """One line, when the flow is checked as when it starts."""
        for check in (lambda flow: checked(flow.config), lambda flow: flow.start()):
            with pytest.raises(ConfigurationError, match=told):
                check(Flow().add(Sizes, name="e", **options))

    def test_retries_of_nothing(self) -> None:
        """Retries are for endpoints that may be called again."""

        def function(docs: DocumentArray) -> None:
            pass

        flow = Flow().add(function, name="e", retries=2)
        for check in (lambda: checked(flow.config), lambda: flow.start()):
            with pytest.raises(ConfigurationError, match=r"mark their methods with @requests\(idempotent=True\)"):
                check()

    def test_in_a_file(self, tmp_path: pathlib.Path) -> None:
        """The same in YAML, there and back; a mistake is told with its position."""
        file = tmp_path / "flow.yml"
        said = (
            "  - uses: tests.assembly.test_repeated:Sizes\n    batch: {/marked: 2, /plain: {preferred_batch_size: 3}}\n"
        )
        file.write_text(f"jtype: Flow\nexecutors:\n{said}    retries: 2\n")
        flow = Flow.load_config(str(file))
        flow.save_config(str(file))
        for again in (flow, Flow.load_config(str(file))):
            spec = again[0].spec
            assert spec is not None
            assert spec.retries == 2
            assert {name: each.preferred_batch_size for name, each in spec.batch.items()} == {"/marked": 2, "/plain": 3}
        file.write_text(
            "jtype: Flow\nexecutors:\n  - uses: tests.assembly.test_repeated:Sizes\n    batch: {/nothing: 2}\n"
        )
        with pytest.raises(ConfigurationError, match=r"flow.yml:3:5: .*'/nothing', which there is not"):
            checked(Flow.load_config(str(file)).config)
