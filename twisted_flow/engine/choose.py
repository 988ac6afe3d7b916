"""Which engine an executor gets."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..executor.component import component
from ..executor.spec import ExecutorSpec
from ..interfaces import IEngine, IEngineMaker
from ..suggestion import nearest
from .inline import InlineEngineMaker
from .process_maker import ProcessEngineMaker
from .thread import ThreadEngineMaker

__all__ = ["ENGINES", "make_engine"]

ENGINES: dict[str, IEngineMaker] = {
    maker.name: maker for maker in (InlineEngineMaker(), ThreadEngineMaker(), ProcessEngineMaker())
}
"""Our own engines by name. Others are found as plugins."""


def make_engine(spec: ExecutorSpec, word: str | None = None) -> IEngine:
    """The engine for the executor of *spec* that *word* picks; None: a thread if a method of it may block, else inline.

    :raises ConfigurationError: if there is no such executor, or no such engine.
    """
    executor = component(spec)
    if word is None:
        word = "thread" if any(endpoint.blocking for endpoint in executor.endpoints.values()) else "inline"
    try:
        return _maker(word).make(executor, spec)
    except ConfigurationError as error:
        raise spec.at_fault(error) from None


def _maker(word: str) -> IEngineMaker:
    if word in ENGINES:
        return ENGINES[word]
    from twisted.plugin import getPlugins  # which looks through all of sys.path

    makers = {maker.name: maker for maker in getPlugins(IEngineMaker)}
    if word not in makers:
        known = [*ENGINES, *makers]
        raise ConfigurationError(f"engine={word!r}: the engines are {', '.join(known)}{nearest(word, known)}")
    return makers[word]
