"""The class that users derive their executors from. (They need not: any class with ``@requests`` methods will do.)"""

from __future__ import annotations

import inspect
import os
import pathlib
from types import SimpleNamespace
from typing import Any

__all__ = ["METAS", "Executor"]

METAS: dict[str, object] = {"name": "", "description": "", "workspace": "", "py_modules": ""}
"""The defaults of an executor's ``metas``."""


class Executor:
    """Answers requests in its methods marked with ``@requests``.

    It is made once for each replica; its plain ``def`` methods, the constructor and `close` run in one thread, one at a
    time. A class that also has ``async def`` methods, which run on the event loop, guards what both touch.

    :param metas: name, workspace and whatever else describes the executor; set before the constructor runs.
    :param requests: endpoints by name, to methods' names, in place of what the marks say.
    :param runtime_args: what the flow tells about where it runs.
    :param more: other arguments that a derived class passes on; they are ignored.
    """

    metas: SimpleNamespace = SimpleNamespace(**METAS)
    requests: dict[str, str] = {}
    runtime_args: SimpleNamespace = SimpleNamespace(name="", workspace=None)

    def __init__(
        self,
        metas: dict[str, Any] | None = None,
        requests: dict[str, str] | None = None,
        runtime_args: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        if metas is not None:
            self.metas = SimpleNamespace(**METAS | {"name": type(self).__name__} | metas)
        if requests is not None:
            self.requests = requests
        if metas is None and not vars(self).get("metas"):
            self.metas = SimpleNamespace(**METAS | {"name": type(self).__name__})
        if runtime_args is not None:
            self.runtime_args = SimpleNamespace(**runtime_args)

    @property
    def workspace(self) -> str:
        """A folder of this executor's own, made at the first look; where no workspace was given, below that which
        ``TWISTED_FLOW_WORKSPACE`` names, or ``~/.twisted_flow/workspace``.
        """
        root = self.metas.workspace or os.environ.get("TWISTED_FLOW_WORKSPACE") or "~/.twisted_flow/workspace"
        own = self.runtime_args.name or self.metas.name or type(self).__name__
        path = pathlib.Path(os.path.expandvars(root)).expanduser() / own
        path.mkdir(parents=True, exist_ok=True)
        return str(path.resolve())

    def warm_up(self) -> Any:
        """Called once after the constructor, where the methods run: the flow is ready when this has returned.

        Run a first prediction here, for example. May be an ``async def``.
        """

    def check_health(self) -> Any:
        """Called every few seconds, where the methods run: while it raises, the flow is not ready.

        May be an ``async def``.
        """

    def close(self) -> Any:
        """Called once, when the flow stops. May be an ``async def``."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *problem: object) -> None:
        closing = self.close()
        if inspect.iscoroutine(closing):
            closing.close()
            raise TypeError(f"{type(self).__name__}.close is an async def: await it")
        if hasattr(closing, "addCallbacks"):
            raise TypeError(f"{type(self).__name__}.close returns a Deferred: wait for it")
