"""The banner that is printed when a flow has started."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from ..interfaces import IEngine, IListenAddress
from ..listen.hostport import bare, joined, private_address
from ..policy.replicas import described
from .flow_config import FlowConfig

__all__ = ["banner", "show", "where"]


def show(lines: Sequence[str]) -> None:
    """Print *lines*, as far as the terminal can; a flow that serves is not ended by one that cannot."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with suppress(OSError, ValueError, AttributeError):  # closed, or none at all
        sys.stdout.write("\n".join([*lines, ""]).encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


def where(engine: IEngine) -> str:
    """Where the executor of *engine* runs, such as 'process × 4'."""
    told, numbers = described(engine), []
    for key in ("shards", "copies"):
        copies = told.get(key)
        if isinstance(copies, list):
            numbers.append(f" × {len(copies)}")
            told = copies[0]
    return f"{told.get('engine', type(engine).__name__)}{''.join(numbers)}"


def banner(config: FlowConfig, addresses: Sequence[IListenAddress], engines: Sequence[IEngine] = ()) -> list[str]:
    """The lines of the banner for a flow that listens at *addresses*, with executors in *engines*."""
    everywhere = config.host in ("0.0.0.0", "::", "")
    here = "localhost" if everywhere else bare(config.host)
    private = private_address() if everywhere else None
    lines = ["ready and listening", "🎉 Flow is ready to use!"]
    for listener, address in zip(config.listeners, addresses, strict=True):
        port = address.port
        tls = "" if address.tls is None else " (TLS)"
        lines.append(f"\t🔗 Protocol: \t\t{', '.join(listener.protocols).upper()}{tls}")
        if not port:
            lines.append(f"\t🏠 Local access:\t{address.address}")
            continue
        lines.append(f"\t🏠 Local access:\t{joined(here, port)}")
        if private is not None:
            lines.append(f"\t🔒 Private network:\t{private}:{port}")
        scheme = "https" if tls else "http"
        if "http" in listener.protocols and config.http.docs:
            lines.append(f"\t💬 Swagger UI:\t\t{scheme}://{joined(here, port)}/docs")
            lines.append(f"\t📚 Redoc:\t\t{scheme}://{joined(here, port)}/redoc")
    told = config.telemetry
    if told.metrics_port is not None:
        lines.append(f"\t📈 Metrics:\t\thttp://{joined(told.metrics_host, told.metrics_port)}/metrics")
    lines += [f"\t🧩 Executor {engine.name}:\t{where(engine)}" for engine in engines]
    return lines
