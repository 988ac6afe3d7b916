"""The body of ``/status``: versions, platform, memory, health."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version

import msgspec

from ...interfaces import IDescribed
from ...readiness import Readiness
from ...version import __version__

__all__ = ["status"]

_PACKAGES = ("twisted", "klein", "autobahn", "grpcio", "protobuf", "zope.interface", "msgspec", "numpy", "uvloop")
_ENVIRONMENT = ("LANG", "TZ", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""The environment may hold secrets: only these are told."""


@cache
def _versions() -> dict[str, str]:
    found = {"twisted_flow": __version__, "python": platform.python_version(), "platform": platform.system()}
    found |= {"platform-release": platform.release(), "architecture": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except ModuleNotFoundError:
            found[package] = ""
    return found


def _used_memory() -> str:
    """Resident memory, where the system tells it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as pages:
            resident = int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return ""
    return f"{resident / 2**20:.1f} MiB"


def status(engines: Iterable[IDescribed], readiness: Readiness, protocols: Iterable[str]) -> bytes:
    """The facts, as JSON; the first three keys are those that existing clients know.

    :param protocols: served at the same port.
    """
    described = {engine.name: engine.describe() for engine in engines}
    health = {engine.name: engine.health for engine in engines}
    facts: dict[str, object] = {
        "jina": _versions(),
        "envs": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        "used_memory": _used_memory(),
        "pid": os.getpid(),
        "python": sys.version.split()[0],
        "ready": readiness.ready,
        "protocols": list(protocols),
        "executors": health,
        "engines": described,
    }
    return msgspec.json.encode(facts)
