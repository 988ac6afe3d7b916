"""Calls over gRPC, as a bare stub makes them."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

import grpc
from twisted.internet import reactor

from tests.support import TIMEOUT, wait_for
from twisted_flow import Limits
from twisted_flow.codec.protobuf import RequestProto
from twisted_flow.gateway.buffered import Buffered
from twisted_flow.gateway.served import Served
from twisted_flow.listen.addresses import port_address
from twisted_flow.protocols import GRPC_SERVERS, protocol_named

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def proto(endpoint: str, *texts: str, request_id: str = "r", **fields: Any) -> Any:
    made = RequestProto(request_id=request_id, **fields)
    made.header.exec_endpoint = endpoint
    made.data.SetInParent()
    for text in texts:
        made.data.docs.add(text=text)
    return made


def call(channel: grpc.Channel, messages: Any) -> Any:
    """``/jina.JinaRPC/Call``, as a bare stub has it."""
    stub = channel.stream_stream("/jina.JinaRPC/Call", RequestProto.SerializeToString, RequestProto.FromString)
    return stub(iter(messages), timeout=TIMEOUT)


@contextlib.contextmanager
def grpc_server(source: Any, server: str = "lane") -> Iterator[grpc.Channel]:
    """A channel to a gateway over *source*, in which `asked` is told of each request, once it has been dispatched.

    :param server: 'lane' or 'grpcio'.
    """
    source.asked = queue.SimpleQueue()
    dispatch = source.dispatch

    def noted(request: Any) -> Any:
        outcome = dispatch(request)
        reactor.callLater(0.01, source.asked.put, 1)  # type: ignore[attr-defined]
        return outcome

    source.dispatch = noted
    gateway = protocol_named(GRPC_SERVERS[server]).make(grpc_served(source, server))
    wait_for(gateway.startService)
    with grpc.insecure_channel(gateway.address) as channel:
        yield channel
    wait_for(gateway.stopService)


def grpc_served(dispatcher: Any, server: str = "lane") -> Served:
    """What a gateway over *dispatcher* is made of."""
    limits = Limits()
    address = port_address("127.0.0.1", 0, listen=server == "lane")
    return Served(dispatcher=dispatcher, address=address, limits=limits, buffered=Buffered(limits.max_buffered))


def tell(body: bytes, context: Any) -> bytes:
    """The metadata that the method has got."""
    return repr([tuple(pair) for pair in context.invocation_metadata()]).encode()


def handler(name: str = "told.Told") -> Any:
    return grpc.method_handlers_generic_handler(name, {"Tell": grpc.unary_unary_rpc_method_handler(tell)})
