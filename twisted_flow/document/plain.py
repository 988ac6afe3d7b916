"""Documents in plain terms: JSON, msgpack, and what Python builds in; numpy's numbers and arrays in tags as theirs."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

__all__ = ["enc_hook", "to_builtins", "to_bytes", "to_json"]


def enc_hook(value: Any) -> Any:
    """What msgspec cannot say itself: numpy's scalars and arrays as numbers and lists of them.

    :raises TypeError: for anything else.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"objects of type {type(value).__name__} cannot travel")


to_json = msgspec.json.Encoder(enc_hook=enc_hook).encode
to_bytes = msgspec.msgpack.Encoder(enc_hook=enc_hook).encode


def to_builtins(value: Any) -> Any:
    """*value* in dicts, lists, strings and numbers; bytes in base64."""
    return msgspec.to_builtins(value, enc_hook=enc_hook)
