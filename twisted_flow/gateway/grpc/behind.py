"""grpcio's server behind the lane: it answers the services that a user has added, on a socket of its own."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grpc import aio

from ...errors import ConfigurationError
from ...limits import Limits
from ...loop import Signal, asyncio_loop, wait_a_while
from ..ending import LAST_WORDS
from .added import Added

__all__ = ["THREADS", "Behind"]

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_CHANNEL = [*_UNLIMITED, ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
_SERVER = [*_UNLIMITED, ("grpc.max_metadata_size", 2**20), ("grpc.absolute_max_metadata_size", 2**20)]
THREADS = 16
"""For methods of a user's services that are no coroutines."""


class Behind:
    """See the module.

    :param added: what it answers.
    :param limits: of the lane, which has held messages to them.
    """

    def __init__(self, added: Added, limits: Limits) -> None:
        self._added, self._limits = added, limits
        self._folder: pathlib.Path | None = None
        self._server: Any = None
        self._channel: Any = None
        self._calls = 0
        self._idle = Signal()
        self._idle.set()

    async def start(self) -> None:
        """Listen, in a folder that is this user's alone."""
        if asyncio_loop() is None:
            raise ConfigurationError("grpc_services need the asyncio reactor: start twistd without --reactor")
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="twisted_flow_"))
        address = f"unix:{self._folder}/grpc"
        self._server = server = aio.server(ThreadPoolExecutor(THREADS, "grpc_services"), options=_SERVER)
        server.add_generic_rpc_handlers(self._added.handlers)
        server.add_insecure_port(address)
        await server.start()
        self._channel = aio.insecure_channel(address, _CHANNEL)

    def call(self, method: str, metadata: tuple[tuple[str, str | bytes], ...], timeout: float | None) -> Any:
        """A call of *method*, of raw messages, with the *metadata* and the seconds that the caller has given."""
        call = self._channel.stream_stream(method)(metadata=metadata, timeout=timeout)
        self._calls += 1
        self._idle.clear()
        call.add_done_callback(self._ended)
        return call

    def _ended(self, call: object) -> None:
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def stop(self) -> None:
        """End, when the calls under way have ended; the lane cuts those that take too long."""
        await wait_a_while(self._idle, self._limits.drain_grace + LAST_WORDS)
        server, channel, folder = self._server, self._channel, self._folder
        self._server = self._channel = self._folder = None
        if channel is not None:
            await channel.close()
        if server is not None:
            await server.stop(LAST_WORDS)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
