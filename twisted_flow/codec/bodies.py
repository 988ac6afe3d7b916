"""What travels as JSON, as types: msgspec decodes into them, and the OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ..document import Document
from ..limits import SHORTEST_TIMEOUT
from ..message import Arrays, Header, Parameters, Route, Status

__all__ = ["Data", "Named", "PostAnswer", "PostBody", "ToldAnswer"]


class Data(Struct, forbid_unknown_fields=True):
    """Documents and groundtruths."""

    docs: list[Document] = []
    groundtruths: list[Document] = []


class PostBody(Struct, rename="camel", forbid_unknown_fields=True):
    """A request as it travels."""

    data: list[Document] | Data | None = None
    exec_endpoint: str | UnsetType = UNSET
    parameters: Parameters | None = None
    target_peapod: str = ""
    request_id: str = ""
    timeout: Annotated[float, Meta(ge=SHORTEST_TIMEOUT)] | UnsetType | None = UNSET
    arrays: Arrays | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    """Whether the answer may come in parts."""
    status: Status | UnsetType = UNSET
    """Code 1 where more messages of the request follow, with its id; then these need no endpoint."""
    cancel: str | UnsetType = UNSET
    """The id of a request to end; then the rest says nothing."""


class Named(Struct, rename="camel"):
    """The id of a request whose body is invalid otherwise."""

    request_id: str = ""


class PostAnswer(Struct, rename="camel"):
    """An answer as it travels."""

    request_id: str
    data: Data
    header: Header
    parameters: Parameters
    routes: list[Route]
    status: Status


class ToldAnswer(Struct, rename="camel"):
    """An answer of any server; Jina's leaves some fields out."""

    data: Data = msgspec.field(default_factory=Data)
    request_id: str = ""
    header: Header = Header("")
    parameters: Parameters | None = None
    routes: list[Route] | None = None
    status: Status | None = None
