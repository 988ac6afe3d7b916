"""A flow in YAML: reading it, and writing it."""

from __future__ import annotations

import io
import pathlib
import sys
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from ..config.yaml import ConfigFile, dump, read
from ..errors import ConfigurationError
from ..executor.load import absolute
from ..executor.spec import ExecutorSpec
from ..graph.graph import NodeConfig, ordered
from ..limits import Limits
from ..old_names import without_ignored

if TYPE_CHECKING:
    from ..flow import Flow
    from .flow_config import FlowConfig

__all__ = ["build", "written"]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys under ``with``: the arguments of `Flow`."""

    protocol: str | list[str] = "grpc"
    port: int | str | list[int] | None = None
    port_expose: int | str | list[int] | None = None
    listen: str | list[str] = []
    grpc: str = "lane"
    grpc_services: str | list[str] = []
    host: str = "0.0.0.0"
    name: str = "flow"
    cors: bool | str | list[str] = False
    allowed_hosts: str | list[str] = []
    title: str | None = None
    description: str = ""
    no_debug_endpoints: bool = False
    no_crud_endpoints: bool = False
    docs: bool = True
    strict: bool = False
    exit_on_crash: bool = False
    workspace: str | None = None
    limits: Limits = Limits()
    debug: bool = False


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One of the executors: the arguments of `Flow.add`."""

    name: str | None = None
    uses: str | dict[str, Any] | None = None
    """What `Flow.add` takes; an executor's YAML may stand here as it is."""
    py_modules: str | list[str] = []
    uses_with: dict[str, Any] = {}
    uses_metas: dict[str, Any] = {}
    uses_requests: dict[str, str] = {}
    engine: str | None = None
    replicas: int = 1
    shards: int = 1
    polling: str | dict[str, str] = "any"
    devices: str | int | list[str | int] = []
    env: dict[str, str | int | float] = {}
    max_concurrency: int | None = None
    timeout: float | None = None
    batch: int | dict[str, Any] | None = None
    retries: int = 0
    host: str | list[str] = []
    port: int | None = None
    endpoints: list[str] = []
    external: bool = False
    needs: str | list[str] | None = None
    floating: bool = False


class Exposed(Struct, frozen=True, forbid_unknown_fields=True):
    """One of the endpoints with a route of its own: the arguments of `Flow.expose_endpoint`."""

    exec_endpoint: str
    path: str | None = None
    methods: str | tuple[str, ...] = ("POST",)
    summary: str | None = None
    description: str | None = None
    tags: list[str] = []
    status_code: int = 200
    response_description: str = "The documents, as the executors left them"
    deprecated: bool = False
    operation_id: str | None = None
    include_in_schema: bool = True
    name: str | None = None


_LISTENING = {"port", "port_expose", "listen"}


class FlowFile(Struct, frozen=True, forbid_unknown_fields=True, rename={"with_": "with"}):
    """The whole file."""

    jtype: Literal["Flow"] = "Flow"
    version: str | int | float = "1"
    with_: Settings = Settings()
    executors: list[Entry] = []
    pods: list[Entry] = []
    """The same, by its older name."""
    expose: list[Exposed] = []


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


def written(config: FlowConfig, listening: dict[str, Any]) -> str:
    """The YAML that `build` makes the flow of *config* of.

    :param listening: protocol, port, listen and grpc, as they were given.
    :raises ConfigurationError: where something in it cannot be said in a file.
    """
    routes = [{**msgspec.to_builtins(route), "exec_endpoint": route.endpoint} for route in config.http.exposed]
    for route in routes:
        del route["endpoint"], route["parameters"], route["streams"]  # the last two are the executor's to say
    return dump(
        {
            "jtype": "Flow",
            "version": "1",
            "with": msgspec.to_builtins(_unusual(listening | _settings(config), Settings)),
            "executors": [_entry(node) for node in config.nodes],
            **({"expose": [_unusual(route, Exposed) for route in routes]} if routes else {}),
        }
    )


def _settings(config: FlowConfig) -> dict[str, object]:
    http = config.http
    return {
        "host": config.host,
        "name": config.name,
        "cors": http.cors,
        "allowed_hosts": list(http.allowed_hosts),
        "title": http.title,
        "description": http.description,
        "no_debug_endpoints": not http.debug_endpoints,
        "no_crud_endpoints": not http.crud_endpoints,
        "docs": http.docs,
        "grpc_services": [_named(each, "grpc_services") for each in config.grpc_services],
        "strict": config.strict,
        "exit_on_crash": config.exit_on_crash,
        "workspace": config.workspace,
        "limits": config.limits,
        "debug": http.debug,
    }


def _unusual(values: dict[str, object], kind: type[Struct]) -> dict[str, object]:
    """Those of *values* that are not the defaults of *kind*."""
    usual = {field.name: field.default for field in msgspec.structs.fields(kind)}
    return {name: value for name, value in values.items() if value != usual.get(name) and value not in ([], ())}


def _entry(node: NodeConfig) -> dict[str, object]:
    spec = node.spec or ExecutorSpec(uses=None)
    said = {
        "name": node.name,
        "uses": None if spec.uses is None else _named(spec.uses, node.name),
        "py_modules": [absolute(module, pathlib.Path.cwd()) for module in spec.py_modules],
        "uses_with": spec.uses_with,
        "uses_metas": spec.uses_metas,
        "uses_requests": spec.uses_requests,
        "engine": node.engine,
        "replicas": spec.replicas,
        "shards": spec.shards,
        "polling": spec.polling,
        "devices": list(spec.devices),
        "env": spec.env,
        "max_concurrency": spec.max_concurrency,
        "timeout": spec.timeout,
        "batch": msgspec.to_builtins(spec.batch),
        "retries": spec.retries,
        "host": list(spec.host),
        "endpoints": list(spec.endpoints),
        "needs": list(node.needs),
        "floating": node.floating,
    }
    usual = {"replicas": 1, "shards": 1, "polling": "any"}
    return {name: value for name, value in said.items() if name == "needs" or (value and value != usual.get(name))}


def _named(uses: object, name: str) -> str:
    """What a file calls *uses*."""
    if isinstance(uses, str):
        return absolute(uses, pathlib.Path.cwd())
    module, qualified = getattr(uses, "__module__", None), getattr(uses, "__qualname__", "")
    if module is None or not qualified or "<" in qualified:
        raise ConfigurationError(f"{name}: a file cannot name {uses!r}: use a class or function of a module")
    if module == "__main__":
        raise ConfigurationError(f"{name}: {qualified} is of the script that runs: put it into a module of its own")
    file = getattr(sys.modules.get(module), "__file__", None)
    script = getattr(sys.modules["__main__"], "__file__", None)
    if "." not in module and file and file.endswith(".py") and script and _folder(file) == _folder(script):
        module = file  # who loads it elsewhere finds what lies beside this script by its path alone
    return f"{module}:{qualified}"


def _folder(file: str) -> pathlib.Path:
    return pathlib.Path(file).resolve().parent
