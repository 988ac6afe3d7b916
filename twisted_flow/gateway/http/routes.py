"""The HTTP routes of a flow, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from ...errors import ConfigurationError
from ...executor.table import find
from ...limits import Limits

__all__ = ["HTTPSettings", "Route", "check_route", "flow_routes", "hosts", "origins", "without_routes"]


_SUCCESSES = (200, 201, 202, 203, 204, 205)
"""RFC 9110 section 15.3; 206 answers what nobody can ask for here."""


class Route(Struct, frozen=True, kw_only=True):
    """A path that has documents answered by an endpoint, and what OpenAPI says of it."""

    path: str
    endpoint: str | None
    """The executors' endpoint; None: the body names it."""
    methods: tuple[str, ...] = ("POST",)
    summary: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    status_code: int = 200
    """Of a success. An answer with 204 or 205 has no body."""
    response_description: str = "The documents, as the executors left them"
    deprecated: bool = False
    operation_id: str | None = None
    include_in_schema: bool = True
    name: str | None = None
    parameters: Any = None
    """The type of the parameters, where the executor's method says one."""
    streams: bool = False
    """Whether its documents may come one by one."""


def origins(named: str | Iterable[str]) -> tuple[str, ...]:
    """The origins *named*, one or several.

    :raises ConfigurationError: if one is none (RFC 6454: a scheme, a host, and a port if it is not the usual one).
    """
    found = (named,) if isinstance(named, str) else tuple(named)
    for origin in found:
        parts = urlsplit(origin)
        if origin != "null" and (origin != f"{parts.scheme}://{parts.netloc}" or not parts.netloc):
            raise ConfigurationError(f"cors={origin!r}: an origin is like https://app.example or http://localhost:3000")
    return found


def hosts(named: str | Iterable[str]) -> tuple[str, ...]:
    """The names *named*, one or several, with or without a port.

    :raises ConfigurationError: if one is none.
    """
    found = (named,) if isinstance(named, str) else tuple(named)
    for host in found:
        if not host or host != host.strip() or "/" in host or "," in host or not host.isascii():
            raise ConfigurationError(f"allowed_hosts={host!r}: a host is like flow.example or localhost:12345")
    return tuple(host.lower() for host in found)


def check_route(route: Route, settings: HTTPSettings) -> None:
    """Hold *route*, which a user described, against what a route may be beside those that *settings* ask for.

    :raises ConfigurationError: one line, where it cannot be.
    """
    if not route.path.startswith("/") or not route.path.isascii() or set(route.path) & set("?#<> "):
        raise ConfigurationError(f"path={route.path!r}: a path begins with a slash, and has no ?, #, <, > or space")
    if type(route.status_code) is not int or route.status_code not in _SUCCESSES:
        known = ", ".join(map(str, _SUCCESSES))
        raise ConfigurationError(f"status_code={route.status_code!r}: that of a success is one of {known}")
    taken = {"/livez", "/readyz", "/startupz"}
    taken |= {"/post", "/status"} if settings.debug_endpoints else set()
    taken |= {"/docs", "/redoc", "/openapi.json"} if settings.docs else set()
    if route.path in taken:
        raise ConfigurationError(f"path={route.path!r}: the server's own; give the endpoint another")
    if not route.methods or not set(route.methods) <= {"GET", "POST", "PUT", "PATCH", "DELETE"}:
        raise ConfigurationError(f"methods={list(route.methods)}: of GET, POST, PUT, PATCH and DELETE at least one")


class HTTPSettings(Struct, frozen=True, kw_only=True):
    """What a flow says of its HTTP gateway."""

    served: bool = True
    """Whether there is HTTP at all; else only what leads to a WebSocket."""
    title: str = "Twisted Flow"
    description: str = ""
    cors: bool | tuple[str, ...] = False
    """Which origins' pages may ask: none, all, or those named."""
    allowed_hosts: tuple[str, ...] = ()
    """The names, with or without a port, that the server may be asked by; none: any."""
    debug_endpoints: bool = True
    """Whether there are ``/status`` and ``/post``."""
    crud_endpoints: bool = True
    """Whether there are ``/index``, ``/search``, ``/update`` and ``/delete``."""
    docs: bool = True
    """Whether there are ``/docs``, ``/redoc`` and ``/openapi.json``."""
    authenticated: bool = False
    """Whether callers have to show who they are."""
    open_docs: bool = False
    """Whether anybody may see those, where others have to show who they are."""
    exposed: tuple[Route, ...] = ()
    """Endpoints of executors under paths of their own."""
    limits: Limits = Limits()
    debug: bool = False
    """Whether callers are told all that is known of a failure."""


def without_routes(settings: HTTPSettings) -> HTTPSettings:
    """*settings* for a port where there is no HTTP but what leads to a WebSocket."""
    return replace(settings, served=False, debug_endpoints=False, crud_endpoints=False, docs=False, exposed=())


_CRUD = (
    Route(path="/index", endpoint="/index", tags=("CRUD",), summary="Post data to /index"),
    Route(path="/search", endpoint="/search", tags=("CRUD",), summary="Post data to /search"),
    Route(path="/update", endpoint="/update", methods=("PUT", "POST"), tags=("CRUD",), summary="Put data to /update"),
    Route(
        path="/delete", endpoint="/delete", methods=("DELETE", "POST"), tags=("CRUD",), summary="Delete data by /delete"
    ),
)
_POST = Route(path="/post", endpoint=None, tags=("Debug",), summary="Post data to the endpoint that the body names")


def flow_routes(settings: HTTPSettings, endpoints: Mapping[str, object]) -> tuple[Route, ...]:
    """The routes that *settings* ask for; one that was exposed wins over a built-in of the same path.

    :param endpoints: of the executors, whose docstrings describe what nobody described.
    """
    routes = {route.path: route for route in (_CRUD if settings.crud_endpoints else ())}
    if settings.debug_endpoints:
        routes[_POST.path] = _POST
    for route in settings.exposed:
        routes[route.path] = route
    return tuple(_described(route, endpoints) for route in routes.values())


def _described(route: Route, endpoints: Mapping[str, object]) -> Route:
    if route.endpoint is None:  # which may be any
        return replace(route, streams=any(getattr(each, "streams", False) for each in endpoints.values()))
    found = find(endpoints, route.endpoint)
    if not found:
        return route
    description = route.description or found.summary or None
    return replace(route, description=description, parameters=found.parameters, streams=found.streams)
