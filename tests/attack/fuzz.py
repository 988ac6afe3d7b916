"""Coverage-guided fuzzing of what comes in, with atheris: a part of ``make soak`` where that installs.

Whatever the bytes are, a codec reads a request or raises an error of ours; what it reads it can write, and read again.
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
    from twisted_flow.codec import json, protobuf
    from twisted_flow.errors import FlowError
    from twisted_flow.limits import Limits
    from twisted_flow.message import Response, Status

SEEDS = (
    b'{"data":[{"text":"a","tags":{"k":[1,null]}}],"execEndpoint":"/x","parameters":{"p":1}}',
    b'{"data":{"docs":[{"embedding":{"dense":{"buffer":"AACAPw==","shape":[1],"dtype":"<f4"}}}]},"arrays":"list"}',
    b'{"requestId":"r","target_peapod":"a","header":{"exec_endpoint":"/y"},"data":["text"]}',
    b"\x0a\x01r\x12\x04\x12\x02/x\x22\x0a\x0a\x08\x0a\x01aj\x03abc",
)


def one(body: bytes) -> None:
    """Try *body*, by either codec: its first bit says which."""
    codec: Any = (json, protobuf)[body[0] & 1] if body else json
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
