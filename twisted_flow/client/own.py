"""A flow's own client: the same calls, to itself."""

from __future__ import annotations

from functools import partial
from typing import Literal, Unpack, cast

from ..errors import ConfigurationError
from ..listen.hostport import private_address
from ..protocols import protocol_named
from ..security.access import Access
from .both_ways import OpenStream
from .client import Client
from .streaming import DocumentStream
from .verbs import Post, StreamOptions, verb

__all__ = ["OwnClient"]


class OwnClient:
    """What a flow that runs is called by."""

    host: str
    asyncio: bool = False
    _client: Client | None = None

    @property
    def client(self) -> Client:
        """The client of the first protocol, made at the first look.

        :raises RuntimeError: if the flow is not started.
        :raises ConfigurationError: if it listens where its client cannot reach it.
        """
        if self._client is None:
            protocol, port = self._reached_at()
            if not port:
                raise ConfigurationError(
                    "the flow listens at an endpoint without a port, which its client cannot reach"
                )
            host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
            asyncio = cast(Literal[False], self.asyncio)  # where it is True, `AsyncFlow` says so to type checkers
            self._client = Client(protocol=protocol, host=host, port=port, asyncio=asyncio)
            if self._own_certificate is not None:
                brought = Access(tls=True, own=True, ca=self._own_certificate)
                self._client._channel = partial(protocol_named(protocol).make_channel, host, port, brought)
        return self._client

    @property
    def address_private(self) -> str:
        """This machine's address in its own network; without one *host*."""
        return private_address() or self.host

    @property
    def _own_certificate(self) -> str | None:
        """The file with the certificate that the flow shows; None: connections are plain."""
        raise NotImplementedError

    def _reached_at(self) -> tuple[str, int]:
        raise NotImplementedError

    def _forget_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def post(self) -> Post:
        """Call the flow, which is started: see `Client.post`."""
        return self.client.post

    def stream(self, on: str, inputs: object = None, **options: Unpack[StreamOptions]) -> DocumentStream:
        """Call the flow, which is started, for an answer in parts: see `Client.stream`."""
        return self.client.stream(on, inputs, **options)

    def open(self, on: str, **options: Unpack[StreamOptions]) -> OpenStream:
        """Call the flow, which is started, both ways: see `Client.open`."""
        return self.client.open(on, **options)

    index = verb("/index")
    search = verb("/search")
    update = verb("/update")
    delete = verb("/delete")
