"""Which methods share calls, and may be called again: how that is said."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_flow import ConfigurationError, Executor, dynamic_batching, requests
from twisted_flow.executor.batching import Batching, batchings_of
from twisted_flow.executor.table import endpoints_of, function_endpoints

EIGHT = Batching(8, 5)


class TestMarks:
    def test_either_way(self) -> None:
        """The decorator stands above or below @requests, with or without arguments, on functions too."""

        class Several(Executor):
            @requests(on="/above")
            @dynamic_batching(preferred_batch_size=8, timeout=5)
            def above(self, docs: Any) -> None:
                pass

            @dynamic_batching(preferred_batch_size=8, timeout=5)
            @requests(on="/below")
            async def below(self, docs: Any, **kwargs: Any) -> None:
                pass

            @dynamic_batching
            @requests(on="/bare")
            def bare(self, docs: Any) -> None:
                pass

            @requests(on="/static")
            @dynamic_batching(preferred_batch_size=8, timeout=5)
            @staticmethod
            def static(docs: Any) -> None:
                pass

            @requests(on="/none")
            def none(self, docs: Any) -> None:
                pass

        found = {name: endpoint.batching for name, endpoint in endpoints_of(Several).items()}
        eight = ("/above", "/below", "/static")
        assert found == {**dict.fromkeys(eight, EIGHT), "/bare": Batching(32, 10), "/none": None}

        @dynamic_batching(preferred_batch_size=8, timeout=5)
        def function(docs: Any) -> None:
            pass

        assert function_endpoints(function)["/default"].batching == EIGHT

    def test_inherited(self) -> None:
        """A method that overrides a marked one need not be marked again; its own mark wins."""

        class Base(Executor):
            @requests(on="/a", idempotent=True)
            @dynamic_batching(preferred_batch_size=8, timeout=5)
            def a(self, docs: Any) -> None:
                pass

        class Child(Base):
            def a(self, docs: Any) -> None:
                pass

        class Own(Base):
            @dynamic_batching(preferred_batch_size=2)
            def a(self, docs: Any) -> None:
                pass

        for owner, batching in ((Base, EIGHT), (Child, EIGHT), (Own, Batching(2))):
            endpoint = endpoints_of(owner)["/a"]
            assert (endpoint.idempotent, endpoint.batching) == (True, batching)

    def test_idempotent(self) -> None:
        """No method may be called again unless it says so."""

        class Two(Executor):
            @requests(on="/a", idempotent=True)
            def a(self) -> None:
                pass

            @requests(on="/b")
            def b(self) -> None:
                pass

        assert {name: each.idempotent for name, each in endpoints_of(Two).items()} == {"/a": True, "/b": False}

    @pytest.mark.parametrize("argument", ["context", "docs_matrix", "groundtruths_matrix"])
    def test_what_one_request_has(self, argument: str) -> None:
        """A batched method cannot ask for what belongs to one request."""
        namespace: dict[str, Any] = {"requests": requests, "dynamic_batching": dynamic_batching}
        exec(f"class A:\n @requests\n @dynamic_batching\n def f(self, docs, {argument}): pass", namespace)
        with pytest.raises(ConfigurationError, match=rf"A\.f asks for '{argument}', which belongs to one request"):
            endpoints_of(namespace["A"])

    @pytest.mark.parametrize("arguments", [{"preferred_batch_size": 0}, {"preferred_batch_size": "8"}, {"timeout": -1}])
    def test_wrong_numbers(self, arguments: dict[str, Any]) -> None:
        """They are checked where they are said."""
        with pytest.raises(TypeError, match=f"dynamic_batching: .*{next(iter(arguments))}"):
            dynamic_batching(**arguments)
        with pytest.raises(TypeError, match="marks methods, not a int"):
            dynamic_batching(5)  # type: ignore[type-var]


class TestSaid:
    @pytest.mark.parametrize(
        ("said", "meant"),
        [
            (None, {}),
            (8, {"*": Batching(8)}),
            ({"preferred_batch_size": 8, "timeout": 5}, {"*": EIGHT}),
            ({"/a": 8, "*": {"preferred_batch_size": 8, "timeout": 5}}, {"/a": Batching(8), "*": EIGHT}),
        ],
    )
    def test_forms(self, said: Any, meant: Any) -> None:
        """A number, both numbers, or either for each endpoint."""
        assert batchings_of(said, "e") == meant

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            (0, "e: batch=0: it is a number of documents, or .*>= 1"),
            (True, "e: batch=True: "),
            ("8", "e: batch='8': "),
            ({"timeout": 5}, "required field `preferred_batch_size`"),
            ({"/a": {"preferred_batch_size": 8, "timeot": 5}}, "unknown field `timeot`.*did you mean 'timeout'"),
        ],
    )
    def test_mistakes(self, said: Any, told: str) -> None:
        """One line that says what it may be."""
        with pytest.raises(ConfigurationError, match=told):
            batchings_of(said, "e")
