"""The services that gRPC's tools expect: health (grpc.health.v1) and reflection (grpc.reflection.v1, v1alpha)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc

from ...document.protobuf.descriptor import FILES, Message, message
from ...loop import Signal, wait_a_while

__all__ = ["Health", "Reflection", "handler"]

_LOOK = 1.0  # seconds between two looks of who watches
_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3


def handler(service: str, **methods: object) -> object:
    """The generic handler of *service* with *methods*."""
    return grpc.method_handlers_generic_handler(service, methods)


class Health:
    """Whether the server serves, as a whole and each of its services.

    :param services: their names.
    :param ready: tells whether every executor is.
    """

    def __init__(self, services: Iterable[str], ready: Callable[[], bool]) -> None:
        self.services, self.ready = {"", *services}, ready
        self.stopping = False
        self._changed = Signal()
        self._request = message("grpc.health.v1.HealthCheckRequest")
        self._response = message("grpc.health.v1.HealthCheckResponse")
        self._all = message("grpc.health.v1.HealthListResponse")

    def handler(self) -> object:
        """For the server."""
        decode, encode = self._request.FromString, self._response.SerializeToString
        return handler(
            "grpc.health.v1.Health",
            Check=grpc.unary_unary_rpc_method_handler(self.check, decode, encode),
            List=grpc.unary_unary_rpc_method_handler(
                self.list,
                message("grpc.health.v1.HealthListRequest").FromString,
                self._all.SerializeToString,
            ),
            Watch=grpc.unary_stream_rpc_method_handler(self.watch, decode, encode),
        )

    def stop(self) -> None:
        """Report NOT_SERVING from now on."""
        self.stopping = True
        self._changed.set()

    def status(self, service: str) -> int:
        """Of the service called *service*; '' is the server."""
        if service not in self.services:
            return _UNKNOWN
        return _SERVING if self.ready() and not self.stopping else _NOT_SERVING

    async def check(self, request: Message, context: Any) -> object:
        """Answer ``Check``."""
        status = self.status(request.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service!r}")
        return self._response(status=status)

    async def list(self, request: object, context: object) -> object:
        """Answer ``List``."""
        return self._all(statuses={name: self._response(status=self.status(name)) for name in self.services})

    async def watch(self, request: Message, context: object) -> AsyncIterator[object]:
        """Send the status now, and whenever it changes, until the server stops."""
        told = self.status(request.service)
        yield self._response(status=told)
        while not self.stopping:
            await wait_a_while(self._changed, _LOOK)
            now = self.status(request.service)
            if now != told:
                told = now
                yield self._response(status=told)


class Reflection:
    """Server reflection: the services and their descriptors.

    :param services: their names.
    :param version: 'v1', or 'v1alpha', as older tools have it.
    """

    def __init__(self, services: Iterable[str], version: str) -> None:
        self.services, self.package = sorted(services), f"grpc.reflection.{version}"
        self.files = {file.name: file for file in FILES.file}
        self.symbols = {symbol: file.name for file in FILES.file for symbol in _symbols(file)}
        self._request = message(f"{self.package}.ServerReflectionRequest")
        self._response = message(f"{self.package}.ServerReflectionResponse")

    def handler(self) -> object:
        """For the server."""
        decode, encode = self._request.FromString, self._response.SerializeToString
        return handler(
            f"{self.package}.ServerReflection",
            ServerReflectionInfo=grpc.stream_stream_rpc_method_handler(self.info, decode, encode),
        )

    async def info(self, requests: AsyncIterator[object], context: object) -> AsyncIterator[object]:
        """Answer each question."""
        async for request in requests:
            yield self.answer(request)

    def answer(self, request: Message) -> object:
        """The answer to *request*."""
        response = self._response(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in self.services:
                response.list_services_response.service.add(name=name)
            return response
        if kind == "file_by_filename":
            name = request.file_by_filename
        else:
            name = self.symbols.get(request.file_containing_symbol, "")
        if name in self.files:
            files = response.file_descriptor_response.file_descriptor_proto
            files.extend(self.files[each].SerializeToString() for each in self._with_imports(name))
        else:
            response.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
            response.error_response.error_message = "there is no such file or symbol here"
        return response

    def _with_imports(self, name: str) -> list[str]:
        """*name* and the files that it imports."""
        found = [name]
        for each in found:
            found.extend(needed for needed in self.files[each].dependency if needed not in found)
        return found


def _symbols(file: Message) -> Iterable[str]:
    for service in file.service:
        yield f"{file.package}.{service.name}"
        yield from (f"{file.package}.{service.name}.{method.name}" for method in service.method)
    yield from _nested(file.package, file)


def _nested(prefix: str, scope: Message) -> Iterable[str]:
    for inner in scope.message_type if hasattr(scope, "message_type") else scope.nested_type:
        yield f"{prefix}.{inner.name}"
        yield from _nested(f"{prefix}.{inner.name}", inner)
    yield from (f"{prefix}.{enum.name}" for enum in scope.enum_type)
