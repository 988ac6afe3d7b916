"""``grpc-timeout``: at most eight digits, and a unit."""

from __future__ import annotations

import re

__all__ = ["read_timeout", "write_timeout"]

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def read_timeout(value: bytes) -> float | None:
    """The seconds that *value* says; None where it says nothing."""
    found = _TIMEOUT.fullmatch(value)
    return int(found[1]) * _SECONDS[found[2]] if found else None


def write_timeout(seconds: float) -> bytes:
    """*seconds*, in the finest unit that has room for them."""
    for unit in (b"n", b"u", b"m", b"S", b"M", b"H"):
        number = round(seconds / _SECONDS[unit])
        if number < 10**8:
            return b"%d%b" % (max(number, 1), unit)
    return b"99999999H"
