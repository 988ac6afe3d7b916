"""What a flow tells of itself, and where, as it is told."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["TelemetrySettings"]


class TelemetrySettings(Struct, frozen=True, kw_only=True):
    """See the module."""

    metrics: bool = True
    """Whether there is ``/metrics``."""
    metrics_port: int | None = None
    """A port for that alone; None: it is on that of HTTP."""
    metrics_host: str = "127.0.0.1"
    """The address of that port."""
    access_log: str = ""
    """A file for a line of each request; '-': standard output; '': there is none."""
    access_log_format: str = "text"
