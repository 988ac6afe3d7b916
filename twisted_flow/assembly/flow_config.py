"""The whole configuration of a flow, as data."""

from __future__ import annotations

from msgspec import Struct

from ..gateway.http.routes import HTTPSettings
from ..graph.graph import NodeConfig
from ..limits import Limits
from ..listen.listeners import Listener
from ..security.settings import SecuritySettings
from ..telemetry.settings import TelemetrySettings

__all__ = ["FlowConfig"]


class FlowConfig(Struct, frozen=True, kw_only=True):
    """The whole configuration of a flow."""

    name: str = "flow"
    listeners: tuple[Listener, ...] = (Listener(("grpc",), 0),)
    host: str = "0.0.0.0"
    nodes: tuple[NodeConfig, ...] = ()
    http: HTTPSettings = HTTPSettings()
    limits: Limits = Limits()
    security: SecuritySettings = SecuritySettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    grpc_services: tuple[object, ...] = ()
    """Services that gRPC serves beside the flow's own: see `added`."""
    exit_on_crash: bool = False
    """Whether a server that is there for this flow alone ends, with status 1, when an executor's process has failed."""
    strict: bool = False
    """Whether an endpoint that no executor has is an error."""
    workspace: str | None = None
    """The folder for the executors' own folders."""
