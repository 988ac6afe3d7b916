"""Which engine an executor gets."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..interfaces import IEngine, IExecutor
from ..suggestion import nearest
from .inline import InlineEngine
from .thread import ThreadEngine

__all__ = ["ENGINES", "make_engine"]

ENGINES = {"inline": InlineEngine, "thread": ThreadEngine}
"""The engines by the word that picks one."""


def make_engine(executor: IExecutor, word: str | None) -> IEngine:
    """The engine for *executor* that *word* picks; None: a thread if a method of it may block, else inline.

    :raises ConfigurationError: if there is no such engine.
    """
    if word is None:
        word = "thread" if any(endpoint.blocking for endpoint in executor.endpoints.values()) else "inline"
    if word not in ENGINES:
        raise ConfigurationError(f"engine={word!r}: the engines are {', '.join(ENGINES)}{nearest(word, ENGINES)}")
    return ENGINES[word](executor)
