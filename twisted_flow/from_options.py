"""The options of ``twistd flow``, turned into a `Flow`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import msgspec

from .errors import ConfigurationError
from .flow import Flow
from .limits import Limits

__all__ = ["Options", "flow_from", "printed_from"]

Options = Any
"""twistd's, parsed: by their names, which have dashes."""

_FILLED = {"protocol": "protocols", "port": "ports", "cors": "cors-origins", "docs": "no-docs", "metrics": "no-metrics"}
"""The keys of options, where they are called otherwise than the settings that they make."""


def flow_from(options: Options) -> Flow:
    """The flow that *options* describe.

    :raises ConfigurationError: one line, where they describe none.
    """
    settings = _given(options)
    if limits := _limits(options):
        settings["limits"] = limits
    flow = _configured(options, settings)
    placed = _placed(options)
    for uses in options["uses"]:
        flow.add(uses, **placed)
    for endpoint in options["expose"]:
        flow.expose_endpoint(endpoint)
    return flow


def printed_from(options: Options, flow: Flow, taken: Mapping[str, str]) -> str:
    """What ``--print-config`` prints of *flow*.

    :param taken: see `from_environment`.
    """
    from .assembly.printed_config import printed

    given = [*_given(options), *_limits(options)]
    by = {name: taken.get(_FILLED.get(name, name.replace("_", "-")), "") for name in given}
    origins = {name: f"environment {variable}" if variable else "option" for name, variable in by.items()}
    return printed(flow.config, flow.listening, origins, options["config"])


def _given(options: Options) -> dict[str, Any]:
    """What was said of the flow, but for its limits."""
    settings: dict[str, Any] = {name: value for name, value in _settings(options).items() if value not in (None, [], 0)}
    return settings | {flag: False for flag in ("docs", "metrics") if options[f"no-{flag}"]}


def _placed(options: Options) -> dict[str, Any]:
    """Where the executors of --uses run."""
    numbers = ("replicas", "max-concurrency", "batch", "batch-timeout", "retries")
    given = {name: options[name] for name in ("engine", "devices", *numbers) if options[name] is not None}
    if given and not options["uses"]:
        raise ConfigurationError(f"--{next(iter(given))} is for executors of --uses; in a file each says its own")
    given |= {name: _number(options, name) for name in given.keys() & set(numbers)}
    timeout = given.pop("batch-timeout", None)
    if timeout is not None:
        if "batch" not in given:
            raise ConfigurationError(f"--batch-timeout={timeout}: say --batch too")
        given["batch"] = {"preferred_batch_size": given["batch"], "timeout": timeout}
    return {name.replace("-", "_"): value for name, value in given.items()}


def _configured(options: Options, settings: dict[str, Any]) -> Flow:
    if options["config"] is None:
        return Flow(**{"protocol": "http"} | settings | {"limits": Limits(**settings.get("limits", {}))})
    from .assembly.flow_file import build  # YAML only for those who use it

    return build(Flow, pathlib.Path(options["config"]), settings, {"protocol": "http"})


def _settings(options: Options) -> dict[str, object]:
    """What was said of the flow; what was not said is none, empty or 0."""
    names = ("grpc", "host", "name", "title", "description", "workspace", "tls-cert", "tls-key", "tls-client-ca",
             "tokens", "authenticator", "metrics-host", "access-log", "access-log-format")  # fmt: skip
    flags = ("no-debug-endpoints", "no-crud-endpoints", "strict", "exit-on-crash", "debug")
    return {
        "protocol": options["protocols"],
        "port": options["ports"],
        "listen": options["listen"],
        "grpc_services": options["grpc-services"],
        "open": options["open"],
        "metrics_port": options["metrics-port"] and _number(options, "metrics-port"),
        "allowed_hosts": options["allowed-hosts"],
        "cors": options["cors-origins"] or bool(options["cors"]),
        **{name.replace("-", "_"): options[name] for name in names},
        **{flag.replace("-", "_"): bool(options[flag]) for flag in flags},
    }


def _number(options: Options, name: str) -> int:
    if not options[name].isdecimal():
        raise ConfigurationError(f"--{name}={options[name]}: it is a number")
    return int(options[name])


def _limits(options: Options) -> dict[str, object]:
    given = {name: options[name.replace("_", "-")] for name in Limits.__struct_fields__}
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        try:
            msgspec.convert({name: value}, Limits, strict=False)
        except msgspec.ValidationError as error:
            reason = str(error).partition(" - at ")[0]
            raise ConfigurationError(f"--{name.replace('_', '-')}={value}: {reason}") from None
    limits = msgspec.convert(values, Limits, strict=False)
    return {name: getattr(limits, name) for name in values}
