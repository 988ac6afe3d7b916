"""Telling systemd how the service does (sd_notify: one datagram to the socket that the environment names)."""

from __future__ import annotations

import os
import pathlib
import re
import socket

__all__ = ["notify", "unnamed_descriptor"]

_BY_INDEX = re.compile(r"systemd:(?:.*:)?index=([0-9]+)(?::.*)?")
_FIRST = 3  # sd_listen_fds(3)


def unnamed_descriptor(description: str) -> int | None:
    """The descriptor that *description* (``systemd:domain=INET:index=0``) means, where they were handed over without
    names, which Twisted asks for; else None.
    """
    found = _BY_INDEX.fullmatch(description)
    if found is None:
        return None
    try:  # Twisted takes the variables away, names or not
        said = pathlib.Path("/proc/self/environ").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return None
    environment = dict(each.partition("=")[::2] for each in said)
    if environment.get("LISTEN_FDNAMES") or environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    number = environment.get("LISTEN_FDS", "")
    return _FIRST + int(found[1]) if number.isdecimal() and int(found[1]) < int(number) else None


def notify(state: str) -> None:
    """Send *state*, such as ``READY=1``; without ``NOTIFY_SOCKET`` this does nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
