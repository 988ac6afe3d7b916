"""The codecs, and what picks one: a media type, a WebSocket subprotocol, or the kind of a message."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import cast

from ..interfaces import ICodec

__all__ = ["CODECS", "CodecEntry", "codec_of"]


class CodecEntry:
    """One row of the table.

    :param name: of the codec and of its WebSocket subprotocol.
    :param module: the module in this package that is the codec; imported when it is used.
    :param binary: whether it writes bytes that are no text.
    :param media_types: its media types over HTTP; none: HTTP does not take it.
    :param messages: whether a WebSocket may speak it.
    """

    def __init__(
        self, name: str, module: str, *, binary: bool, media_types: tuple[str, ...] = (), messages: bool = True
    ) -> None:
        self.name, self.module, self.binary, self.media_types = name, module, binary, media_types
        self.messages = messages

    @cached_property
    def codec(self) -> ICodec:
        """The codec itself."""
        return cast(ICodec, import_module(f".{self.module}", __package__))


CODECS = (
    # curl says of any -d that it is a form
    CodecEntry("json", "json", binary=False, media_types=("application/json", "application/x-www-form-urlencoded")),
    CodecEntry("bytes", "protobuf", binary=True),
    CodecEntry(
        "jsonl", "json_lines", binary=False, messages=False, media_types=("application/jsonl", "application/x-ndjson")
    ),
)
"""In the order of preference."""


def codec_of(*, subprotocol: str | None = None, binary: bool = False, media_type: str | None = None) -> CodecEntry:
    """The codec of a message.

    :param subprotocol: the connection's, which decides; None: text or binary decides.
    :param binary: whether it is a binary message.
    :param media_type: over HTTP, one of a codec's.
    """
    if media_type is not None:
        return next(each for each in CODECS if media_type in each.media_types)
    if subprotocol is not None:
        return next(each for each in CODECS if each.name == subprotocol)
    return next(each for each in CODECS if each.binary is binary)
