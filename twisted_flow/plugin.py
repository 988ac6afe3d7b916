"""What a package puts into a module of ``twisted.plugins`` to bring an executor along."""

from __future__ import annotations

from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from .interfaces import IExecutorPlugin

__all__ = ["ExecutorPlugin"]


@implementer(IPlugin, IExecutorPlugin)
class ExecutorPlugin:
    """An executor by a name that ``uses=`` and ``--uses`` find.

    :param name: that name.
    :param executor: what ``uses=`` takes: a class, or 'package.module:Class', which is imported when it is used.
    :param description: one line, for ``twistd flow --list``.
    """

    def __init__(self, name: str, executor: Any, description: str = "") -> None:
        self.name, self.executor, self.description = name, executor, description
