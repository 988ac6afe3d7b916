"""Documents as JSON, msgpack and Python's built-in types."""

from __future__ import annotations

import msgspec

from .values import plain_value

__all__ = ["to_builtins", "to_bytes", "to_json"]

to_json = msgspec.json.Encoder(enc_hook=plain_value).encode
to_bytes = msgspec.msgpack.Encoder(enc_hook=plain_value).encode


def to_builtins(value: object) -> object:
    """*value* in dicts, lists, strings and numbers; bytes in base64."""
    return msgspec.to_builtins(value, enc_hook=plain_value)
