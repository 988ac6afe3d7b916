"""Endpoints with HTTP routes of their own: the part of a flow that takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..gateway.http.routes import HTTPSettings, Route, check_route

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Exposing"]


class Exposing:
    """What a flow is told of its HTTP routes."""

    _http: HTTPSettings
    _exposed: list[Route]

    def _must_not_run(self) -> None:
        raise NotImplementedError

    def expose_endpoint(
        self,
        exec_endpoint: str,
        *,
        path: str | None = None,
        methods: Sequence[str] = ("POST",),
        summary: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        status_code: int = 200,
        response_description: str = "The documents, as the executors left them",
        deprecated: bool = False,
        operation_id: str | None = None,
        include_in_schema: bool = True,
        name: str | None = None,
    ) -> Self:
        """Give an endpoint of the executors an HTTP route of its own.

        :param exec_endpoint: the endpoint.
        :param path: of the route; by default the endpoint.
        :param methods: that it takes.
        :param status_code: of a success. The rest is for the OpenAPI document.
        :return: the flow itself.
        :raises ConfigurationError: where that makes no route.
        """
        route = Route(
            path=path or exec_endpoint,
            endpoint=exec_endpoint,
            methods=tuple(method.upper() for method in ([methods] if isinstance(methods, str) else methods)),
            summary=summary,
            description=description,
            tags=tuple(tags),
            status_code=status_code,
            response_description=response_description,
            deprecated=deprecated,
            operation_id=operation_id,
            include_in_schema=include_in_schema,
            name=name,
        )
        check_route(route, self._http)
        self._must_not_run()
        self._exposed.append(route)
        return self
