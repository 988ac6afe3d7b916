"""The protobuf messages, made at run time from the compiled ``proto/`` (``proto.binpb``; see ``proto/README.md``).

They live in a pool of their own, so that other packages with messages of the same names do not get in their way.
"""

from __future__ import annotations

import pathlib
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["FILES", "POOL", "Message", "message"]

FILES = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(__file__).with_name("proto.binpb").read_bytes())
"""The descriptors of all files, those that they import before them."""

POOL = descriptor_pool.DescriptorPool()
for _file in FILES.file:
    POOL.Add(_file)


Message = Any
"""A message, whose class is made at run time from the descriptors: no checker knows its fields."""


def message(name: str) -> Any:
    """The class of the message called *name*, such as ``jina.DocumentProto``."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))
