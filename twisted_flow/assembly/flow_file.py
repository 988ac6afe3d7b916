"""A flow in YAML, read."""

from __future__ import annotations

import io
import pathlib
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from ..config.yaml import ConfigFile, read
from ..errors import ConfigurationError
from ..executor.load import absolute
from ..graph.graph import ordered
from ..limits import Limits
from ..old_names import without_ignored
from .flow_schema import Entry, FlowFile

if TYPE_CHECKING:
    from ..flow import Flow

__all__ = ["build"]

_FILES = ("tls_cert", "tls_key", "tls_client_ca", "tokens")
"""Settings that are paths, as seen from the folder of the file."""
_LISTENING = {"port", "port_expose", "listen"}


def build(
    make: type[Flow],
    source: str | pathlib.Path | io.TextIOBase,
    settings: dict[str, Any],
    defaults: dict[str, Any] | None = None,
) -> Flow:
    """The flow that the file called *source* describes; *settings*, arguments of *make*, win over what it says.

    :param settings: ``limits`` among them is a dict of those that are meant.
    :param defaults: arguments of *make*, where neither says them.
    :raises ConfigurationError: one line, with the position in the file.
    """
    file = read(source)
    _without_ignored(file.value)
    said = file.convert(FlowFile)
    path: tuple[str | int, ...] = ("with",)
    try:
        given = _given(file, path, said.with_)
        if "grpc_services" in given:
            services = said.with_.grpc_services
            services = [services] if isinstance(services, str) else services
            given["grpc_services"] = [absolute(each, file.folder) for each in services]
        given |= {name: str(file.folder / given[name]) for name in _FILES if given.get(name)}
        if given.get("access_log") not in (None, "-"):
            given["access_log"] = str(file.folder / given["access_log"])
        if isinstance(given.get("authenticator"), str):
            given["authenticator"] = absolute(given["authenticator"], file.folder)
        if _LISTENING & settings.keys():  # one of them takes the place of all
            given = {name: value for name, value in given.items() if name not in _LISTENING}
        if "limits" in settings:
            meant = settings["limits"]
            meant = msgspec.structs.asdict(meant) if isinstance(meant, Limits) else meant
            limits = msgspec.structs.replace(given.get("limits", Limits()), **meant)
            settings = settings | {"limits": limits}
        flow = make(**((defaults or {}) | given | settings))
        for key in ("executors", "pods"):
            for position, entry in enumerate(getattr(said, key)):
                path = (key, position)
                _add(flow, entry, file, file.location(path))
        _check(flow, file)
        for position, exposed in enumerate(said.expose):
            path = ("expose", position)
            flow.expose_endpoint(**_given(file, path, exposed))
    except ConfigurationError as error:
        if str(error).startswith(f"{file.name}:"):
            raise
        argument = str(error).partition("=")[0]
        if path == ("with",) and argument in settings:
            raise  # not the file's mistake
        raise file.error((*path, argument) if argument in given else path, str(error)) from None
    return flow


def _without_ignored(raw: object) -> None:
    if isinstance(raw, dict):
        without_ignored(raw.get("with"), "with")
        for key in ("executors", "pods"):
            for each in raw[key] if isinstance(raw.get(key), list) else ():
                without_ignored(each, key)


def _check(flow: Flow, file: ConfigFile) -> None:
    """Check the graph; an error gives the position of the executor that it names first."""
    nodes = [flow[position] for position in range(flow.num_executors)]
    try:
        ordered(nodes)
    except ConfigurationError as error:
        said = [str(error).find(node.name) for node in nodes]
        named = min((location, n) for n, location in enumerate(said) if location >= 0)[1]
        key = "executors" if "executors" in file.value else "pods"
        raise file.error((key, named), str(error)) from None


def _given(file: ConfigFile, path: tuple[str | int, ...], said: Struct) -> dict[str, Any]:
    """Those of *said*'s fields that stand in the file at *path*."""
    raw: Any = file.value or {}
    for step in path:
        raw = (raw.get(step) if isinstance(raw, dict) else raw[step]) or {}
    return {name: getattr(said, name) for name in raw}


def _add(flow: Flow, entry: Entry, file: ConfigFile, location: str) -> None:
    modules = [entry.py_modules] if isinstance(entry.py_modules, str) else entry.py_modules
    options = msgspec.structs.asdict(entry)
    options |= {name: str(file.folder / options[name]) for name in ("ca", "cert", "key") if options[name]}
    add = flow.inspect if options.pop("floating") else flow.add
    add(
        **options
        | {
            "uses": absolute(entry.uses, file.folder) if isinstance(entry.uses, str) else entry.uses,
            "py_modules": [absolute(module, file.folder) for module in modules],
            "devices": list(map(str, entry.devices)) if isinstance(entry.devices, list) else str(entry.devices),
            "env": {name: str(value) for name, value in entry.env.items()},
        }
    )
    flow.located(location)
