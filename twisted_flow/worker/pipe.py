"""Writing frames to the server."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence

from ..wire.frames import Piece

__all__ = ["send"]

_AT_ONCE = 64 * 1024  # bytes that are copied together rather than sent as they are


def send(pipe: socket.socket, pieces: Sequence[Piece]) -> None:
    """Send *pieces*, which are a frame, and wait until they are out.

    :raises OSError: if the server has gone.
    """
    if len(pieces) == 1:
        pipe.sendall(pieces[0])
    elif sum(map(len, pieces)) <= _AT_ONCE:
        pipe.sendall(b"".join(pieces))
    else:
        _send_apart(pipe, pieces)


def _send_apart(pipe: socket.socket, pieces: Sequence[Piece]) -> None:
    left: deque[memoryview] = deque(memoryview(each).cast("B") for each in pieces if len(each))
    while left:
        sent = pipe.sendmsg([left[n] for n in range(min(len(left), 64))])
        while sent:
            if sent >= len(left[0]):
                sent -= len(left.popleft())
            else:
                left[0] = left[0][sent:]
                sent = 0
