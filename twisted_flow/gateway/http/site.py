"""twisted.web behind the lane: what it takes over, it answers."""

from __future__ import annotations

from typing import Any

from twisted.web.resource import IResource
from twisted.web.server import Site

from ...limits import Limits
from ..connections import Connections, hand_over
from .channel import FlowChannel
from .open_paths import OpenPaths
from .refusal import Refusals
from .request import FlowRequest

__all__ = ["FlowSite"]


class FlowSite(Site):
    """twisted.web's site, for connections that the lane hands over.

    :param resource: what answers.
    :param limits: what is bounded.
    :param refusals: writes what ends a connection.
    :param connections: where they are counted.
    :param open_paths: what anybody may ask for.
    :param hosts: the names that it may be asked by; none: any.
    """

    protocol: Any = FlowChannel
    displayTracebacks = False

    def __init__(
        self,
        resource: IResource,
        limits: Limits,
        refusals: Refusals,
        connections: Connections,
        open_paths: OpenPaths,
        hosts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            resource, requestFactory=FlowRequest, timeout=limits.idle_timeout, parsePOSTFormSubmission=False
        )
        self.limits, self.refusals, self.hosts, self.open = limits, refusals, hosts, open_paths
        self.connections = connections
        self.reactor: Any = connections.clock

    def log(self, request: object) -> None:
        """Not a line for each request: what fails is logged where it fails."""

    def take_over(self, transport: Any, received: bytes, whole: bool) -> None:
        """Have *transport*, over which *received* came; *whole*: and nothing else will."""
        channel = self.buildProtocol(transport.getPeer())
        hand_over(transport, channel, received, whole)
        if self.connections.draining and transport.protocol is channel:
            channel.drain()
