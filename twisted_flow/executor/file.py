"""An executor in YAML."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ..config.yaml import dump, read
from .load import absolute
from .spec import ExecutorSpec

__all__ = ["from_file"]


_TOLD = ("name", "description")  # of metas, what the executor is told of them


class _Metas(Struct, frozen=True, forbid_unknown_fields=True):
    """What an executor's file says of it beside the arguments."""

    name: str | None = None
    workspace: str | None = None
    py_modules: list[str] | str = []
    description: str = ""


class _File(Struct, frozen=True, forbid_unknown_fields=True, rename={"with_": "with"}):
    """What an executor's YAML says."""

    jtype: str
    with_: dict[str, Any] = {}
    metas: _Metas = _Metas()
    requests: dict[str, str] = {}


def from_file(spec: ExecutorSpec) -> ExecutorSpec:
    """*spec*, with what the YAML that it uses says: a file, a text of several lines, or a dict of the same. What *spec*
    says itself wins.

    :raises ConfigurationError: one line, if that is wrong.
    """
    file = read(dump(spec.uses) + "\n" if isinstance(spec.uses, dict) else spec.uses)
    said = file.convert(_File)
    modules = [said.metas.py_modules] if isinstance(said.metas.py_modules, str) else said.metas.py_modules
    return replace(
        spec,
        uses=absolute(said.jtype, file.folder),
        py_modules=(*spec.py_modules, *(absolute(module, file.folder) for module in modules)),
        name=spec.name or said.metas.name,
        uses_with=said.with_ | spec.uses_with,
        uses_metas={name: each for name in _TOLD if (each := getattr(said.metas, name))} | spec.uses_metas,
        uses_requests=said.requests | spec.uses_requests,
        workspace=spec.workspace or said.metas.workspace,
    )
