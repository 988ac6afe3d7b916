"""The whole configuration of a flow, value by value, and where each comes from: ``--print-config``."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import cast

import msgspec

from ..config.yaml import read
from ..limits import Limits
from .flow_config import FlowConfig
from .flow_schema import Settings
from .flow_written import settings_of

__all__ = ["printed"]


def printed(config: FlowConfig, listening: Mapping[str, object], given: Mapping[str, str], file: str | None) -> str:
    """A line for each setting: its name, its value as JSON, and its origin. What executors are given is not told, as it
    may be secret.

    :param listening: protocol, port, listen and grpc, as they were given.
    :param given: names of settings, and where they were given: by an option, or in the environment.
    :param file: the configuration file, if there is one.
    """
    said = _said(file)
    values = {**listening, **settings_of(config)}
    values.pop("limits")
    names = [field.name for field in msgspec.structs.fields(Settings) if field.name in values]
    told = {name: (values[name], _origin(name, given, said, file)) for name in names}
    limits, in_file = config.limits, cast(Mapping[str, object], said.get("limits") or {})
    for name in Limits.__struct_fields__:
        told[name] = (getattr(limits, name), _origin(name, given, in_file, file))
    lines = [f"{name}: {_as_json(value)}  # {origin}" for name, (value, origin) in told.items()]
    for node in config.nodes:
        uses = None if node.spec is None else node.spec.uses
        lines.append(f"executor {node.name}: {uses if isinstance(uses, str) else getattr(uses, '__qualname__', '-')}")
    return "".join(f"{line}\n" for line in lines)


def _said(file: str | None) -> Mapping[str, object]:
    """What *file* says under ``with``."""
    value = None if file is None else read(pathlib.Path(file)).value
    return cast(Mapping[str, object], (value or {}).get("with") or {})


def _origin(name: str, given: Mapping[str, str], in_file: Mapping[str, object], file: str | None) -> str:
    if name in given:
        return given[name]
    return f"file {file}" if name in in_file else "default"


def _as_json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
