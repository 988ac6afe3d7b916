"""Services of gRPC that a user adds to a flow: as handlers of grpcio's, which answer them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from msgspec import Struct

from ...errors import ConfigurationError
from ...executor.load import load
from ...telemetry.printable import one_line

__all__ = ["Added", "added"]


class Added(Struct, frozen=True):
    """What a user has added."""

    handlers: tuple[Any, ...] = ()
    """grpcio's ``GenericRpcHandler``."""
    services: tuple[str, ...] = ()
    """The services' names, as far as the handlers tell."""
    files: tuple[Any, ...] = ()
    """The ``FileDescriptorProto`` of their files, and those that they import, as far as they are known."""


def added(given: Iterable[object]) -> Added:
    """What *given* are: each an object of a generated servicer's class, or that class; a generic handler; what adds
    services to a server; or, as a text, where one of these is found.

    :raises ConfigurationError: one line, where one is none of that.
    """
    given = tuple(given)
    if not given:
        return Added()
    adding = _Adding()
    for each in given:
        adding.add(each)
    names = [handler.service_name() for handler in adding.handlers if hasattr(handler, "service_name")]
    for name in names:
        if name.startswith(("jina.", "twisted_flow.", "grpc.")):
            raise ConfigurationError(f"grpc_services: the service {name} is the flow's own")
    return Added(tuple(adding.handlers), tuple(names), tuple(_files(names)))


class _Adding:
    """What stands in for a server while services are added to it."""

    def __init__(self) -> None:
        self.handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[object]) -> None:
        """As grpcio's servers have it."""
        self.handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """The same as what is added as a generic handler."""

    def add(self, given: object) -> None:
        """Add what *given* is: see `added`."""
        said = given if isinstance(given, str) else repr(given)
        found: Any = load(given) if isinstance(given, str) else given
        try:
            if isinstance(found, type):
                found = found()
            if callable(getattr(found, "service", None)) and not _adder(found):
                self.handlers.append(found)
                return
            before = len(self.handlers)
            adder = _adder(found)
            if adder is not None:
                adder(found, self)
            elif callable(found):
                found(self)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"grpc_services: {said}: {type(error).__name__}: {one_line(error)}") from error
        if len(self.handlers) == before:
            raise ConfigurationError(
                f"grpc_services: {said} is no servicer, no generic handler, and adds no service to a server"
            )


def _adder(servicer: object) -> Callable[[object, object], object] | None:
    """The generated function that adds *servicer*, one of a generated class, to a server."""
    for kind in type(servicer).__mro__:
        found = getattr(sys.modules.get(kind.__module__), f"add_{kind.__name__}_to_server", None)
        if found is not None:
            return cast("Callable[[object, object], object]", found)
    return None


def _files(names: Iterable[str]) -> list[Any]:
    """The descriptors of the services *names*, where the pool that generated code uses has them."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    waiting, found = [], dict[str, Any]()
    for name in names:
        try:
            waiting.append(descriptor_pool.Default().FindFileContainingSymbol(name))
        except KeyError:  # it was made by hand
            continue
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            found[file.name] = proto
            waiting += file.dependencies
    return list(found.values())
