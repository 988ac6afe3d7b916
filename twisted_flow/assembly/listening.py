"""Over which protocols, and at which ports, a flow is served: the part of a flow that is told, and tells it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigurationError
from ..listen.listeners import Listener, listeners, named, served_by
from ..loop import run_in_reactor
from ..protocols import GRPC_SERVERS
from .service import FlowService

__all__ = ["Listening"]


class Listening:
    """See the module."""

    _protocols: tuple[str, ...]
    _ports: tuple[int, ...]
    _listen: tuple[str, ...]
    _grpc: str
    _listeners: tuple[Listener, ...]
    _service: FlowService | None

    def _forget_client(self) -> None:
        raise NotImplementedError

    def _must_not_run(self) -> None:
        if self._service is not None:
            raise RuntimeError("the flow is running and cannot be changed: close it first")

    @property
    def listening(self) -> dict[str, object]:
        """Protocol, port, listen and grpc, as they were given."""
        return {"protocol": self.protocol, "port": self._ports, "listen": self._listen, "grpc": self._grpc}

    @property
    def protocol(self) -> str | tuple[str, ...]:
        """The protocol, or the protocols. A flow that runs serves a new one on the same port; what was accepted is
        answered, for a moment a connect may be refused; and if it cannot listen, the old one does again.
        """
        return self._protocols[0] if len(self._protocols) == 1 else self._protocols

    @protocol.setter
    def protocol(self, protocol: str | Sequence[str]) -> None:
        protocols, _ = named(protocol)
        if self._service is None:
            self._protocols, self._listeners = protocols, self._paired(protocols, self._ports)
            return
        if self._listen:
            raise ConfigurationError("the protocols of a flow that listens at an endpoint cannot change while it runs")
        service = self._service
        same = self._paired(protocols, service.ports if len(service.ports) == len(protocols) else service.ports[:1])
        self._forget_client()
        run_in_reactor(lambda: service.switch(same))
        self._protocols, self._listeners = protocols, same

    @property
    def ports(self) -> dict[str, int]:
        """The port of each protocol; 0 where any will do and the flow has not started."""
        numbers = self._service.ports if self._service is not None else [each.port for each in self._listeners]
        return {
            "grpc" if protocol == GRPC_SERVERS["grpcio"] else protocol: number
            for listener, number in zip(self._listeners, numbers, strict=True)
            for protocol in listener.protocols
        }

    def _paired(self, protocols: Sequence[str], ports: Sequence[int]) -> tuple[Listener, ...]:
        return listeners(served_by(protocols, self._grpc), ports, self._listen)

    @property
    def port(self) -> int:
        """The port of the first protocol. See `ports`."""
        return self.ports[self._protocols[0]]

    @port.setter
    def port(self, port: int | str | Sequence[int]) -> None:
        self._must_not_run()
        self._ports = named(self._protocols, port)[1]
        self._listeners = self._paired(self._protocols, self._ports)

    port_expose = port
