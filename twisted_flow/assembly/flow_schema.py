"""What stands in a flow's file: its keys, and their types."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from ..limits import Limits

__all__ = ["Entry", "Exposed", "FlowFile", "Settings"]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys under ``with``: the arguments of `Flow`."""

    protocol: str | list[str] = "grpc"
    port: int | str | list[int] | None = None
    port_expose: int | str | list[int] | None = None
    listen: str | list[str] = []
    grpc: str = "lane"
    grpc_services: str | list[str] = []
    host: str = "0.0.0.0"
    name: str = "flow"
    cors: bool | str | list[str] = False
    allowed_hosts: str | list[str] = []
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    tokens: str | None = None
    authenticator: str | None = None
    open: str | list[str] = []
    metrics: bool = True
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    access_log: str | None = None
    access_log_format: str = "text"
    title: str | None = None
    description: str = ""
    no_debug_endpoints: bool = False
    no_crud_endpoints: bool = False
    docs: bool = True
    strict: bool = False
    exit_on_crash: bool = False
    workspace: str | None = None
    limits: Limits = Limits()
    debug: bool = False


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One of the executors: the arguments of `Flow.add`."""

    name: str | None = None
    uses: str | dict[str, Any] | None = None
    """What `Flow.add` takes; an executor's YAML may stand here as it is."""
    py_modules: str | list[str] = []
    uses_with: dict[str, Any] = {}
    uses_metas: dict[str, Any] = {}
    uses_requests: dict[str, str] = {}
    engine: str | None = None
    replicas: int = 1
    shards: int = 1
    polling: str | dict[str, str] = "any"
    devices: str | int | list[str | int] = []
    env: dict[str, str | int | float] = {}
    max_concurrency: int | None = None
    timeout: float | None = None
    batch: int | dict[str, Any] | None = None
    retries: int = 0
    host: str | list[str] = []
    port: int | None = None
    endpoints: list[str] = []
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    token: str | None = None
    external: bool = False
    needs: str | list[str] | None = None
    floating: bool = False


class Exposed(Struct, frozen=True, forbid_unknown_fields=True):
    """One of the endpoints with a route of its own: the arguments of `Flow.expose_endpoint`."""

    exec_endpoint: str
    path: str | None = None
    methods: str | tuple[str, ...] = ("POST",)
    summary: str | None = None
    description: str | None = None
    tags: list[str] = []
    status_code: int = 200
    response_description: str = "The documents, as the executors left them"
    deprecated: bool = False
    operation_id: str | None = None
    include_in_schema: bool = True
    name: str | None = None


class FlowFile(Struct, frozen=True, forbid_unknown_fields=True, rename={"with_": "with"}):
    """The whole file."""

    jtype: Literal["Flow"] = "Flow"
    version: str | int | float = "1"
    with_: Settings = Settings()
    executors: list[Entry] = []
    pods: list[Entry] = []
    """The same, by its older name."""
    expose: list[Exposed] = []
