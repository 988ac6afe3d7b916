"""grpcio's server behind the lane: it answers the services that a user has added, on a socket of its own."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grpc import aio
from twisted.internet.defer import Deferred

from ...channel.grpc_connection import GRPCConnection
from ...errors import ConfigurationError
from ...limits import Limits
from ...loop import Signal, asyncio_loop, to_future, wait_a_while
from ...loop.connecting import connect_unix
from ..ending import LAST_WORDS
from .added import Added
from .threads import yielding

__all__ = ["THREADS", "Behind"]

THREADS = 16
"""For methods of a user's services that are no coroutines."""

_WINDOW = 1 << 18  # bytes of a call's answer that are kept while its caller does not take them


class Behind:
    """See the module.

    :param added: what it answers.
    :param limits: of the lane.
    """

    def __init__(self, added: Added, limits: Limits) -> None:
        self._added, self._limits = added, limits
        self._folder: pathlib.Path | None = None
        self._server: Any = None
        self._connection: GRPCConnection | None = None
        self._connecting = False
        self._calls = 0
        self._idle = Signal()
        self._idle.set()

    async def start(self) -> None:
        """Listen, in a folder that is this user's alone, and connect."""
        if asyncio_loop() is None:
            raise ConfigurationError("grpc_services need the asyncio reactor: start twistd without --reactor")
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="twisted_flow_"))
        options = [
            ("grpc.max_receive_message_length", self._limits.max_body),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", self._limits.max_headers_size),
            ("grpc.absolute_max_metadata_size", self._limits.max_headers_size),
        ]
        with yielding():  # grpcio's threads, to the one that relays
            self._server = server = aio.server(ThreadPoolExecutor(THREADS, "grpc_services"), options=options)
        server.add_generic_rpc_handlers(self._added.handlers)
        server.add_insecure_port(f"unix:{self._folder}/grpc")
        await server.start()
        await to_future(self._connect())

    def _connect(self) -> Deferred[Any]:
        self._connecting = True
        made = GRPCConnection(f"{self._folder}/grpc", _WINDOW)

        def connected(_: object) -> None:
            self._connecting, self._connection = False, made

        connecting = connect_unix(made.address, made).addCallback(lambda _: made.greeted)
        return connecting.addCallback(connected)

    @property
    def connection(self) -> GRPCConnection | None:
        """To the server. One that was lost is made anew, for later calls."""
        connection = self._connection
        if (connection is None or connection.why is not None) and not self._connecting and self._server is not None:
            self._connect().addErrback(lambda _: setattr(self, "_connecting", False))
        return connection

    def began(self) -> None:
        """A call has begun."""
        self._calls += 1
        self._idle.clear()

    def ended(self) -> None:
        """A call has ended."""
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def stop(self) -> None:
        """End, when the calls under way have ended; the lane cuts those that take too long."""
        await wait_a_while(self._idle, self._limits.drain_grace + LAST_WORDS)
        server, connection, folder = self._server, self._connection, self._folder
        self._server = self._connection = self._folder = None
        if connection is not None:
            connection.close()
        if server is not None:
            await server.stop(LAST_WORDS)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
