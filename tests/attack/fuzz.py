"""Coverage-guided fuzzing of what comes in, with atheris: a part of ``make soak`` where that installs.

Whatever the bytes are, a codec reads a request or raises an error of ours; what it reads it can write, and read again.
Either end of HTTP/2 takes any bytes, in whatever pieces, and answers by whole frames; so does gRPC's lane.
"""

from __future__ import annotations

import atexit
import os
import pathlib
import shutil
import sys
import tempfile
from typing import Any

import atheris

with atheris.instrument_imports(include=["twisted_flow"]):
    from tests import http2
    from twisted_flow.codec import json, protobuf
    from twisted_flow.errors import FlowError
    from twisted_flow.limits import Limits
    from twisted_flow.message import Response, Status
    from twisted_flow.testing import Answering, MemoryGateway
    from twisted_flow.wire.http2 import codes, frames

SEEDS = (
    b'{"data":[{"text":"a","tags":{"k":[1,null]}}],"execEndpoint":"/x","parameters":{"p":1}}',
    b'{"data":{"docs":[{"embedding":{"dense":{"buffer":"AACAPw==","shape":[1],"dtype":"<f4"}}}]},"arrays":"list"}',
    b'{"requestId":"r","target_peapod":"a","header":{"exec_endpoint":"/y"},"data":["text"]}',
    b"\x0a\x01r\x12\x04\x12\x02/x\x22\x0a\x0a\x08\x0a\x01aj\x03abc",
)


OPENED = http2.HELLO + http2.request(
    1, (b"content-type", b"application/grpc"), fields=[*http2.REQUEST[:2], (b":path", b"/jina.JinaRPC/Call")]
)
FRAMES = (
    http2.request(1) + frames.frame(codes.DATA, 0, 1, b"abc") + frames.window_update(1, 9),
    frames.frame(codes.DATA, 1, 1, b"\0\0\0\0\x0a\x0a\x01r\x1a\x05\x0a\x03/no"),
    frames.frame(codes.PING, 0, 0, bytes(8)) + frames.reset(1, 8) + frames.goaway(1, 0),
    frames.frame(codes.HEADERS, 4, 1, http2.RESPONSE) + frames.settings({4: 9}),
)


def cut(body: bytes) -> list[bytes]:
    """*body* in pieces, whose size its first byte says."""
    size = 1 + (body[0] if body else 0)
    return [body[at : at + size] for at in range(1, len(body), size)]


def by_frames(body: bytes, kind: int) -> None:
    """Try *body* as what comes over a connection of HTTP/2: to a server, a client, or the lane."""
    if kind == 2:
        wire = MemoryGateway("grpc", Answering()).connect()
        for piece in [OPENED, *cut(body)]:
            wire.receive(piece)
        http2.frames_of(wire.value())
        return
    end = http2.greeted(server=kind == 0)
    end.on_opened = lambda stream, fields: stream.answer(http2.RESPONSE, b"x", http2.TRAILERS)
    if kind == 1:
        end.http2.open(http2.block(http2.REQUEST), http2.Heard(None))
    told = [each for piece in cut(body) for each in end.receive(piece)]
    assert sum(each.startswith("GOAWAY") for each in told) == (end.fault is not None)


def one(body: bytes) -> None:
    """Try *body*, by either codec or as frames: its first byte says which."""
    if body and body[0] % 5 > 1:
        by_frames(body[1:], body[0] % 5 - 2)
        return
    codec: Any = (json, protobuf)[body[0] % 5] if body else json
    try:
        request = codec.decode_request(body[1:], "/x", Limits(max_documents=1000))
        if request.cancels:
            return
        written = codec.encode_response(Response(request, request.docs, request.groundtruths, [], Status()), Limits())
    except FlowError:
        return
    codec.decode_response(written)


def main() -> None:
    """Run for ``FUZZ_SECONDS``, 60 by default."""
    seconds = os.environ.get("FUZZ_SECONDS", "60")
    seeds = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, seeds, ignore_errors=True)
    for number, seed in enumerate(SEEDS):
        (seeds / str(number)).write_bytes((b"\x01" if seed[:1] == b"\x0a" else b"\x00") + seed)
    for number, seed in enumerate(FRAMES):
        for kind in range(3):
            (seeds / f"frames {number} {kind}").write_bytes(bytes((2 + kind, 200)) + seed)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-verbosity=0",
        f"-artifact_prefix={tempfile.gettempdir()}/",
    ]
    atheris.Setup([*sys.argv, str(seeds), *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
