"""A flow written as YAML, of which `flow_file.build` makes it again."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import msgspec
from msgspec import Struct

from ..config.yaml import dump
from ..errors import ConfigurationError
from ..executor.load import absolute
from ..executor.spec import ExecutorSpec
from ..graph.graph import NodeConfig
from .flow_config import FlowConfig
from .flow_schema import Exposed, Settings

__all__ = ["settings_of", "written"]


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
            "with": msgspec.to_builtins(_unusual(listening | settings_of(config), Settings)),
            "executors": [_entry(node) for node in config.nodes],
            **({"expose": [_unusual(route, Exposed) for route in routes]} if routes else {}),
        }
    )


def settings_of(config: FlowConfig) -> dict[str, object]:
    """The keys under ``with``, but for those of where it listens."""
    http, security, tls = config.http, config.security, config.security.tls
    return {
        "host": config.host,
        "name": config.name,
        "cors": http.cors,
        "allowed_hosts": list(http.allowed_hosts),
        "tls_cert": tls and tls.cert,
        "tls_key": tls and tls.key,
        "tls_client_ca": (tls and tls.client_ca) or None,
        "tokens": security.tokens or None,
        "authenticator": None if security.authenticator is None else _named(security.authenticator, "authenticator"),
        "open": list(security.open),
        **{
            name: value or None for name, value in msgspec.structs.asdict(config.telemetry).items() if name != "metrics"
        },
        "metrics": config.telemetry.metrics,
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
        "ca": _path(spec.ca),
        "cert": _path(spec.cert),
        "key": _path(spec.key),
        "needs": list(node.needs),
        "floating": node.floating,
    }
    if spec.token is not None:
        raise ConfigurationError(f"{node.name}: a token is not written to a file; there it is a variable, token: $NAME")
    usual = {"replicas": 1, "shards": 1, "polling": "any"}
    return {name: value for name, value in said.items() if name == "needs" or (value and value != usual.get(name))}


def _path(file: str | None) -> str | None:
    return None if file is None else str(pathlib.Path.cwd() / file)


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
