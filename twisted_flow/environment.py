"""Options from the environment: ``TWISTED_FLOW_MAX_BODY=1000`` is ``--max-body=1000``, unless that is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import ConfigurationError
from .suggestion import nearest

__all__ = ["PREFIX", "from_environment"]

PREFIX = "TWISTED_FLOW_"
_OF_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)|PORT_\d+_)")
"""What Kubernetes sets in every container where a Service is called 'twisted-flow'; and PORT itself is a URL there."""
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


def from_environment(options: Any, environment: Mapping[str, str], several: Mapping[str, str]) -> dict[str, str]:
    """Take the options that *environment* has, and the command line has not.

    :param options: twistd's, parsed.
    :param several: options that may be given several times, by the key that they fill: their values are separated by
        commas here.
    :return: the name of the variable of each that was taken.
    :raises ConfigurationError: one line, if there is no such option, or it cannot have that value.
    """
    single = {each[0] for each in options.optParameters}
    flags = {each[0] for each in options.optFlags}
    taken: dict[str, str] = {}
    for variable, value in sorted(environment.items()):
        rest = variable.removeprefix(PREFIX)
        if rest == variable or not value or _OF_KUBERNETES.match(rest) or (rest == "PORT" and "://" in value):
            continue
        name = rest.lower().replace("_", "-")
        if name not in several and name not in single and name not in flags:
            near = nearest(name, [*several, *single, *flags])
            raise ConfigurationError(f"{variable}: there is no option --{name}{near}")
        key = several.get(name, name)
        if options[key] not in (None, 0, []):  # the command line says it
            continue
        taken[key] = variable
        if name in several:
            _each(options, name, value)
        else:
            options[key] = _flag(variable, value) if name in flags else value
    return taken


def _each(options: Any, name: str, value: str) -> None:
    for each in value.split(","):
        getattr(options, f"opt_{name.replace('-', '_')}")(each.strip())


def _flag(variable: str, value: str) -> int:
    if value.lower() in _YES:
        return 1
    if value.lower() in _NO:
        return 0
    raise ConfigurationError(f"{variable}={value}: it is 1 or 0")
