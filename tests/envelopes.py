"""A protobuf message, read by hand and by protobuf."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import DecodeError

from tests.document.protobuf.plain import told
from twisted_flow.codec.envelope import RequestProto, parse_envelope
from twisted_flow.document.protobuf.descriptor import message
from twisted_flow.document.protobuf.read import read_messages, read_struct
from twisted_flow.errors import BadRequest
from twisted_flow.limits import Limits


def by_protobuf(body: bytes) -> Any:
    try:
        proto = RequestProto.FromString(body)
    except DecodeError:
        return None
    documents = [told(document) for document in read_messages(proto.data.docs)]
    parameters = json.dumps(read_struct(proto.parameters), sort_keys=True)
    rest = repr(proto.timeout), len(proto.routes), proto.HasField("control"), proto.header.exec_endpoint
    return proto.request_id, documents, parameters, *rest


def by_hand(body: bytes) -> Any:
    try:
        read = parse_envelope(body, Limits())
        header = message("jina.HeaderProto").FromString(read.header or b"")
        for route in read.routes:
            message("jina.RouteProto").FromString(route)
        message("jina.StatusProto").FromString(read.status or b"")
        message("jina.RequestProto.ControlRequestProto").FromString(read.control or b"")
    except (BadRequest, DecodeError):
        return None
    documents = [told(document) for document in read.docs] if read.control is None else []
    parameters = json.dumps(read.parameters, sort_keys=True)
    rest = repr(read.timeout), len(read.routes), read.control is not None, header.exec_endpoint
    return read.request_id, documents, parameters, *rest
