"""What is imported when it is first used: protobuf, which who speaks JSON alone does without."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["protobuf"]


def protobuf() -> Any:
    """The package `twisted_flow.document.protobuf`."""
    return import_module("twisted_flow.document.protobuf")
