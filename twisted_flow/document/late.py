"""Protobuf, imported at its first use: programs that only use JSON do without it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["protobuf"]


def protobuf() -> Any:
    """The package `twisted_flow.document.protobuf`."""
    return import_module("twisted_flow.document.protobuf")
