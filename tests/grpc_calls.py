"""Calls over gRPC, as a bare stub makes them."""

from __future__ import annotations

from typing import Any

import grpc

from tests.support import TIMEOUT
from twisted_flow.codec.protobuf import RequestProto

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
