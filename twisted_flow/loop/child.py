"""A child process and the pipe to it: frames on the loop's own transport, its output line by line, its end at once."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from ..wire.frames import FrameReader, Piece, Taker
from .reactor import asyncio_loop
from .threads import next_turn

__all__ = ["Child"]

log = Logger()

_BUFFER = 2 * 2**20  # bytes that the system keeps for either side: without, 4 MB take three times as long
_LONGEST_LINE = 16 * 2**10
_PIPE = 3  # the child's descriptor of its end
_GLANCE = 0.05  # seconds between looks whether it has ended, where the system does not tell


class Child:
    """A child process.

    :param command: the program and its arguments; '{pipe}' among them is the descriptor of its end of the pipe.
    :param environment: all of its environment.
    :param take: takes the frames that it sends.
    :param line: takes each line that it prints, without its end.
    :param gone: called once, when its end of the pipe is closed: it will send nothing more.
    :param ended: called once, when the process has ended, with its exit status (negative: the signal).
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        take: Taker,
        line: Callable[[str], object],
        gone: Callable[[], object],
        ended: Callable[[int], object],
    ) -> None:
        self._gone, self._ended = gone, ended
        self._line = line
        self._reader = FrameReader(take)
        self._pending: list[Piece] = []
        self._transport: Any = None
        self.is_over = self.is_lost = False
        """Whether the process has ended; and whether its pipe has."""
        self._soon = next_turn()
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            try:
                self._spawn(command, environment, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        self._connect(ours)

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str], pipe: int) -> None:
        from twisted.internet import reactor  # chosen by now

        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            descriptors: dict[int, int | str] = {0: nothing, 1: "r", 2: "r", _PIPE: pipe}
            arguments = [part.replace("{pipe}", str(_PIPE)) for part in command]
            self._process: Any = reactor.spawnProcess(
                _Output(self._line, self._exited), command[0], arguments, dict(environment), childFDs=descriptors
            )
        finally:
            os.close(nothing)
        self.pid: int = self._process.pid
        self._reap_when_it_ends()

    def _reap_when_it_ends(self) -> None:
        """Twisted is told of ended processes by SIGCHLD, which on uvloop's loops, and in threads, never comes."""
        from twisted.internet import reactor

        if hasattr(os, "pidfd_open"):
            with suppress(OSError):  # it has ended, and Twisted knows
                watched = _Watched(os.pidfd_open(self.pid), self._reap)
                reactor.addReader(watched)
                return
        self._look()

    def _reap(self) -> None:
        if self._process.pid is not None:  # Twisted has not reaped it by itself
            self._process.reapProcess()

    def _look(self) -> None:
        from twisted.internet import reactor

        if not self.is_over:
            self._reap()
            reactor.callLater(_GLANCE, self._look)

    def _exited(self, status: int) -> None:
        if not self.is_over:
            self.is_over = True
            self._ended(status)

    def _connect(self, ours: socket.socket) -> None:
        loop = asyncio_loop()
        if loop is None:
            from twisted.internet import reactor

            factory = Factory.forProtocol(lambda: _OnReactor(self))
            adopt: Any = reactor
            adopt.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
            ours.close()
            return
        connecting = loop.create_unix_connection(lambda: _OnLoop(self), sock=ours)
        self._connecting = loop.create_task(connecting)

    def connected(self, transport: Any) -> None:
        """The pipe's transport is there."""
        self._transport = transport
        self._flush()

    def write(self, pieces: list[Piece]) -> None:
        """Send a frame, as its buffers; those of one turn of the loop leave together."""
        if not self._pending and self._transport is not None:
            self._soon(self._flush)
        self._pending += pieces

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if not pending or self._transport is None:
            return
        if all(type(each) is bytes for each in pending):
            self._transport.write(b"".join(pending))
        else:
            self._transport.writelines(pending)

    def room(self) -> memoryview:
        """Where to read into."""
        return self._reader.room()

    def filled(self, size: int) -> None:
        """Something was read there."""
        self._read(self._reader.filled, size)

    def fed(self, data: bytes) -> None:
        """Something was read elsewhere."""
        self._read(self._reader.feed, data)

    def _read(self, take: Callable[..., object], what: object) -> None:
        try:
            take(what)
        except Exception:
            log.failure("a frame of process {pid} cannot be read", pid=self.pid)
            self.kill()

    def lost(self) -> None:
        """The pipe has ended."""
        self.is_lost = True
        self._transport = None
        self._pending = []
        gone, self._gone = self._gone, lambda: None
        gone()

    def close(self) -> None:
        """End the pipe; the child ends then by itself."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def abandon(self) -> None:
        """End the pipe now, whatever is not sent: nobody reads it."""
        if self._transport is not None:
            self._transport.abort()

    def kill(self) -> None:
        """End the process now."""
        if not self.is_over:
            with suppress(Exception):
                self._process.signalProcess("KILL")


class _OnLoop(asyncio.BufferedProtocol):
    """The pipe, on the loop's own transport."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.get_buffer = lambda _: child.room()  # type: ignore[method-assign,assignment]
        self.buffer_updated = child.filled  # type: ignore[method-assign,assignment]

    def connection_made(self, transport: Any) -> None:
        transport.set_write_buffer_limits(high=2**30)  # what may be under way is bounded by the engine's window
        self.child.connected(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.child.lost()


class _OnReactor(Protocol):
    """The pipe, on a reactor that has no such loop."""

    def __init__(self, child: Child) -> None:
        self.child = child

    def connectionMade(self) -> None:
        self.writelines = self.transport.writeSequence  # type: ignore[union-attr]
        self.write = self.transport.write  # type: ignore[union-attr]
        self.abort = self.transport.abortConnection  # type: ignore[union-attr]
        self.close = self.transport.loseConnection  # type: ignore[union-attr]
        self.child.connected(self)

    def dataReceived(self, data: bytes) -> None:
        self.child.fed(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.child.lost()


class _Output(ProcessProtocol):
    """What the process prints, and its end."""

    def __init__(self, line: Callable[[str], object], exited: Callable[[int], object]) -> None:
        self._line, self._exited = line, exited
        self._rests = {1: b"", 2: b""}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, rest = (self._rests[childFD] + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        self._rests[childFD] = rest
        for line in lines:
            self._line(line.decode("utf-8", "backslashreplace").rstrip("\r"))

    def processExited(self, reason: Any) -> None:
        for rest in self._rests.values():
            if rest:
                self._line(rest.decode("utf-8", "backslashreplace"))
        self._rests = {1: b"", 2: b""}
        ended = reason.value
        self._exited(-ended.signal if ended.signal else ended.exitCode or 0)


@implementer(IReadDescriptor)
class _Watched:
    """A process's descriptor (pidfd_open(2)), which is readable once it has ended."""

    def __init__(self, descriptor: int, ended: Callable[[], object]) -> None:
        self._descriptor, self._ended = descriptor, ended

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "child"

    def doRead(self) -> None:
        from twisted.internet import reactor

        reactor.removeReader(self)
        os.close(self._descriptor)
        self._ended()

    def connectionLost(self, reason: Any) -> None:
        """The reactor stops."""
