"""The services that gRPC's tools expect: health (grpc.health.v1) and reflection (grpc.reflection.v1, v1alpha)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError

from ...document.protobuf.descriptor import FILES, Message, message
from ...readiness import Readiness
from ...wire.grpc.statuses import CallFault, status_number

__all__ = ["SERVICES", "Health", "Reflection", "reflections"]

SERVICES = ("jina.JinaRPC", "twisted_flow.Flow")
"""The flow's own."""

_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3
_NOT_FOUND = status_number("NOT_FOUND")


def _parsed(kind: Message, body: bytes) -> Message:
    """The message of *kind* that *body* is.

    :raises CallFault: if it is none.
    """
    try:
        return kind.FromString(body)
    except DecodeError:
        raise CallFault(status_number("INVALID_ARGUMENT"), "the message cannot be parsed") from None


class Health:
    """Whether the server serves, as a whole and each of its services.

    :param services: their names.
    :param readiness: tells whether the flow can answer.
    """

    def __init__(self, services: Iterable[str], readiness: Readiness) -> None:
        self.services, self._readiness = {"", *services}, readiness
        self.stopping = False
        self._second: int | None = None
        self._watchers: dict[object, tuple[Callable[[], object], Callable[[], object]]] = {}
        self._request = message("grpc.health.v1.HealthCheckRequest")
        self._response = message("grpc.health.v1.HealthCheckResponse")
        self._all = message("grpc.health.v1.HealthListResponse")

    def stop(self) -> None:
        """Report NOT_SERVING from now on, and end what watches."""
        self.stopping = True
        self.look()
        for _, finish in list(self._watchers.values()):
            finish()

    def look(self, second: int | None = None) -> None:
        """See whether anything has changed that somebody watches.

        :param second: in which this is asked, if once for each is enough.
        """
        if second is not None and second == self._second:
            return
        self._second = second
        for tell, _ in list(self._watchers.values()):
            tell()

    def status(self, service: str) -> int:
        """Of the service called *service*; '' is the server."""
        if service not in self.services:
            return _UNKNOWN
        return _SERVING if self._readiness.ready and not self.stopping else _NOT_SERVING

    def check(self, body: bytes) -> bytes:
        """Answer ``Check``.

        :raises CallFault: if there is no such service.
        """
        service = _parsed(self._request, body).service
        status = self.status(service)
        if status == _UNKNOWN:
            raise CallFault(_NOT_FOUND, f"there is no service {service!r}")
        return self._told(status)

    def list(self, body: bytes) -> bytes:
        """Answer ``List``."""
        told = {name: self._response(status=self.status(name)) for name in self.services}
        return bytes(self._all(statuses=told).SerializeToString())

    def now(self, body: bytes) -> bytes:
        """The first answer of ``Watch``."""
        return self._told(self.status(_parsed(self._request, body).service))

    def watch(self, body: bytes, send: Callable[[bytes], object], finish: Callable[[], object]) -> Callable[[], object]:
        """Go on with ``Watch``: *send* the status whenever it has changed, and *finish* when the server stops.

        :return: ends that.
        """
        service = _parsed(self._request, body).service
        told = self.status(service)

        def tell() -> None:
            nonlocal told
            now = self.status(service)
            if now != told:
                told = now
                send(self._told(now))

        if self.stopping:
            finish()
            return lambda: None
        key = object()
        self._watchers[key] = tell, finish
        return lambda: self._watchers.pop(key, None)

    def _told(self, status: int) -> bytes:
        return bytes(self._response(status=status).SerializeToString())


def reflections(services: Iterable[str], files: Iterable[Message] = ()) -> list[Reflection]:
    """The services for reflection, of either version, where *services* are served.

    :param files: the descriptors of those that are not the flow's own.
    """
    packages = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
    names = [*services, "grpc.health.v1.Health", *(f"{package}.ServerReflection" for package in packages)]
    return [Reflection(names, package, [*FILES.file, *files]) for package in packages]


class Reflection:
    """Server reflection: the services and their descriptors.

    :param services: their names.
    :param files: their descriptors.
    :param package: of the service; it ends with 'v1', or 'v1alpha', as older tools have it.
    """

    def __init__(self, services: Iterable[str], package: str, files: Iterable[Message]) -> None:
        self.services, self.package = sorted(services), package
        self.files = {file.name: file for file in files}
        self.symbols = {symbol: file.name for file in self.files.values() for symbol in _symbols(file)}
        self._request = message(f"{self.package}.ServerReflectionRequest")
        self._response = message(f"{self.package}.ServerReflectionResponse")

    def answer(self, body: bytes) -> bytes:
        """The answer to a question."""
        request = _parsed(self._request, body)
        return bytes(self._answer(request).SerializeToString())

    def _answer(self, request: Message) -> Message:
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
            response.error_response.error_code = _NOT_FOUND
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
