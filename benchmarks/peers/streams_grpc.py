"""A bare grpc.aio server whose method streams: `python streams_grpc.py PORT`. See `benchmarks/streams.py`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from twisted_flow.codec.protobuf import RequestProto


async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
    """The same parts as ours, in the same message."""
    parts, pause = int(request.parameters["parts"]), request.parameters["pause"]
    for number in range(parts):
        if pause:
            await asyncio.sleep(pause)
        answer = RequestProto(request_id=request.request_id)
        answer.data.docs.add(id=f"{number:032x}", text=f"word {number}", mime_type="text/plain")
        yield answer
    yield RequestProto(request_id=request.request_id)


async def main() -> None:
    """Serve until told to stop."""
    server = aio.server()
    method = grpc.unary_stream_rpc_method_handler(stream, RequestProto.FromString, RequestProto.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("twisted_flow.Flow", {"Stream": method}),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
