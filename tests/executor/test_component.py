"""Whatever is handed to ``uses=``, as an `IExecutor`."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from tests.support import Own, request
from twisted_flow import ConfigurationError, Document, DocumentArray, Executor, requests
from twisted_flow.executor.call import Context, response_to
from twisted_flow.executor.component import component
from twisted_flow.executor.spec import ExecutorSpec
from twisted_flow.interfaces import IExecutor


class Upper(Executor):
    def __init__(self, mark: str = "!") -> None:
        self.mark = mark  # does not call ours
        self.seen = (self.metas.name, self.workspace, self.runtime_args.name)
        self.closed = False

    @requests
    def upper(self, docs: DocumentArray) -> None:
        for document in docs:
            document.text = (document.text or "").upper() + self.mark

    def close(self) -> None:
        self.closed = True


class Plain:
    @requests
    def upper(self, docs: DocumentArray) -> None:
        docs[0].text = "plain"


def function(docs: DocumentArray) -> None:
    """Do it."""
    docs[0].text = "function"


def run(uses: Any, **spec: Any) -> str | None:
    executor = component(ExecutorSpec(uses=uses, **spec))
    verifyObject(IExecutor, executor)
    asked = request(Document("a"))
    calls = executor.open()
    response = response_to(asked, calls["/default"](asked, Context(asked.request_id)))
    executor.close()
    return response.docs[0].text


def test_kinds() -> None:
    """A class, an object, a class of no base, a function, a string, and what provides the interface."""
    assert run(Upper) == "A!"
    assert run(Upper, uses_with={"mark": "?"}) == "A?"
    assert run(Upper()) == "A!"
    assert run(Plain) == "plain"
    assert run(function) == "function"
    assert run(f"{__name__}:Upper") == "A!"

    assert run(Own()) == "own"


class Many(Upper):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)


class Given(Executor):
    def __init__(self, replace: bool = False) -> None:
        if replace:
            self.ask = lambda docs, **kwargs: self.looks(docs, **kwargs)  # type: ignore[method-assign]

    @requests
    def ask(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].text = "never looks"

    @requests(on="/named")
    def named(self, docs: DocumentArray, parameters: dict[str, Any], **kwargs: Any) -> None:
        docs[0].text = parameters["text"]

    @requests(on="/static")
    @staticmethod
    def static(docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].text = "static"

    @requests(on="/class")
    @classmethod
    def of_class(cls, docs: DocumentArray) -> None:
        docs[0].text = cls.__name__

    @requests(on="/looks")
    def looks(self, docs: DocumentArray, **kwargs: Any) -> None:
        docs[0].text = " ".join(sorted(kwargs))


class Chosen(Given):
    def __new__(cls) -> Given:
        return Given.__new__(Looks)


class Looks(Chosen):
    def ask(self, docs: DocumentArray, **kwargs: Any) -> None:
        self.looks(docs, **kwargs)


@pytest.mark.parametrize(
    ("replace", "endpoint", "text"),
    [
        (False, "/default", "never looks"),
        (False, "/named", "what was asked"),
        (False, "/static", "static"),
        (False, "/class", "Given"),
        (False, "/looks", "docs_matrix groundtruths groundtruths_matrix parameters"),
        (True, "/default", "docs_matrix groundtruths groundtruths_matrix parameters"),  # not by what it stands for
    ],
)
def test_what_a_method_is_given(replace: bool, endpoint: str, text: str) -> None:
    """All that it names, and all that there is where it looks at its ``**kwargs``."""
    executor = component(ExecutorSpec(uses=Given, uses_with={"replace": replace}))
    asked = request(Document("a"), parameters={"text": "what was asked"})
    executor.open()[endpoint](asked, Context(asked.request_id))
    assert asked.docs.texts == [text]


def test_another_object_than_described() -> None:
    """What is made may be of another class: it is given all that there is."""
    executor = component(ExecutorSpec(uses=Chosen))
    asked = request(Document("a"))
    executor.open()["/default"](asked, Context(asked.request_id))
    assert asked.docs.texts == ["docs_matrix groundtruths groundtruths_matrix parameters"]


def test_before_the_constructor(tmp_path: pathlib.Path) -> None:
    """Name, workspace and runtime arguments are known before the constructor runs, whether or not it calls ours."""
    executor: Any = component(ExecutorSpec(uses=Upper, name="up", workspace=str(tmp_path), uses_metas={"x": 1}))
    executor.open()
    assert executor.executor.seen == ("Upper", str(tmp_path / "up"), "up")
    assert (tmp_path / "up").is_dir()
    assert executor.executor.metas.x == 1
    made = executor.executor
    executor.close()
    assert made.closed


def test_mistakes() -> None:
    """What is no executor is told in one line."""
    for uses in (5, object()):
        with pytest.raises(ConfigurationError, match="uses= takes"):
            component(ExecutorSpec(uses=uses))
    with pytest.raises(ConfigurationError, match="uses_with of Upper: .*'marc'; did you mean 'mark'?"):
        component(ExecutorSpec(uses=Upper, uses_with={"marc": 1}))
    with pytest.raises(ConfigurationError, match="unexpected keyword argument 'arg'$"):
        component(ExecutorSpec(uses=Many, uses_with={"arg": 1}))
    with pytest.raises(ConfigurationError, match="uses_with is a dict of arguments, not 5"):
        component(ExecutorSpec(uses=Upper, uses_with=5))  # type: ignore[arg-type]


class TestReturns:
    def test_documents(self) -> None:
        """None, one document, several, a generator of them: all are documents."""
        asked = request(Document("a"))
        assert response_to(asked, None).docs is asked.docs
        assert response_to(asked, Document("b")).docs.texts == ["b"]
        assert response_to(asked, [Document("b"), Document("c")]).docs.texts == ["b", "c"]
        assert response_to(asked, (Document(text) for text in "xy")).docs.texts == ["x", "y"]
        assert response_to(asked, DocumentArray()).docs == []

    def test_nonsense(self) -> None:
        """Anything else is the executor's error."""
        for nonsense in (5, "text", {"a": 1}, [1], [Document(), None]):
            with pytest.raises(Exception, match="returned"):
                response_to(request(), nonsense)
