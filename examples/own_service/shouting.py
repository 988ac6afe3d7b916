"""A service of gRPC that is no executor, served on the port of the flow: other programs keep their own proto.

    pip install grpcio-tools
    cd examples/own_service
    twistd -n flow --protocol=http --protocol=grpc --port=12345 --grpc-services=shouting.py:Shouting
    npm install @grpc/grpc-js @grpc/proto-loader && node ask.js 12345 hello

Here the proto is compiled when this file is imported; generated modules (shouting_pb2_grpc.py) do as well.
"""

import pathlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

FOLDER = pathlib.Path(__file__).parent
sys.path.append(str(FOLDER))  # where protos are looked for
services: Any = grpc.protos_and_services("shouting.proto")[1]


class Shouting(services.ShoutingServicer):  # type: ignore[misc]
    """See shouting.proto."""

    async def Shout(self, request: Any, context: Any) -> Any:
        """Answer one by one: a failure is a status."""
        if not request.text:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "there is nothing to shout")
        return type(request)(text=request.text.upper())

    async def ShoutEach(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Answer as they come."""
        async for request in requests:
            yield type(request)(text=request.text.upper())
