"""JSON, as HTTP and the WebSocket's text frames speak it.

A request is decoded straight into types. Only what that refuses is looked at again with tolerance for the other
spellings that existing clients use (`document.spelling`); if it is refused again, that second error is the one told.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from zope.interface import moduleProvides

from ..document import Document, DocumentArray, plain, spelling
from ..document.check import complete
from ..document.identity import new_id
from ..document.ndarray import NdArray
from ..document.numbers import settle
from ..errors import BadRequest, ValidationError
from ..interfaces import ICodec
from ..message import Arrays, Header, Request, Response, Route, Status, bare_request

__all__ = [
    "PostAnswer",
    "PostBody",
    "content_type",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
]

moduleProvides(ICodec)

content_type = "application/json"


class Data(Struct, forbid_unknown_fields=True):
    """Documents, and what they should have become."""

    docs: list[Document] = []
    groundtruths: list[Document] = []


class PostBody(Struct, rename="camel", forbid_unknown_fields=True):
    """A request as it travels."""

    data: list[Document] | Data | None = None
    exec_endpoint: str | UnsetType = UNSET
    parameters: dict[str, Any] | None = None
    target_peapod: str = ""
    request_id: str = ""
    timeout: Annotated[float, Meta(gt=0)] | UnsetType | None = UNSET
    arrays: Arrays | UnsetType = UNSET
    cancel: str | UnsetType = UNSET
    """The id of a request to end; then the rest says nothing."""


class PostAnswer(Struct, rename="camel"):
    """An answer as it travels."""

    request_id: str
    data: Data
    header: Header
    parameters: dict[str, Any]
    routes: list[Route]
    status: Status


_KNOWN = Document.__struct_encode_fields__
_decode = msgspec.json.Decoder(PostBody).decode
_decode_anything = msgspec.json.Decoder().decode


def decode_request(body: bytes, endpoint: str | None, max_depth: int) -> Request:
    """See `ICodec`."""
    try:
        post = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        post = _decode_tolerantly(body)
    if post.cancel is not UNSET:
        return bare_request(post.cancel, cancels=True)
    try:
        return _request(post, endpoint, max_depth)
    except ValidationError as wrong:
        wrong.request_id = post.request_id
        raise


def _request(post: PostBody, endpoint: str | None, max_depth: int) -> Request:
    data = post.data
    if data is None:
        docs, groundtruths = DocumentArray(), DocumentArray()
    elif isinstance(data, list):
        docs, groundtruths = DocumentArray(data), DocumentArray()
        complete(docs, "/data", max_depth)
    else:
        docs, groundtruths = DocumentArray(data.docs), DocumentArray(data.groundtruths)
        complete(docs, "/data/docs", max_depth)
        complete(groundtruths, "/data/groundtruths", max_depth)
    if post.parameters:
        settle(post.parameters, "/parameters", max_depth)
    if endpoint is None:
        if not post.exec_endpoint:
            raise ValidationError.at("/execEndpoint", "is required")
        endpoint = post.exec_endpoint
    return Request(
        request_id=post.request_id or new_id(),
        header=Header(endpoint, post.target_peapod),
        docs=docs,
        groundtruths=groundtruths,
        parameters=post.parameters or {},
        timeout=post.timeout or None,
        arrays=post.arrays or "dense",
    )


def _decode_tolerantly(body: bytes) -> PostBody:
    try:
        raw = _decode_anything(body)
    except RecursionError:
        raise BadRequest("the JSON is nested too deep") from None
    except ValueError as wrong:  # DecodeError and UnicodeDecodeError are such
        raise BadRequest(f"not JSON: {wrong}") from None
    try:
        return msgspec.convert(_canonical(raw), PostBody)
    except msgspec.ValidationError as wrong:
        error = spelling.located(wrong, raw)
        error.request_id = _id_in(raw)
        raise error from None
    except RecursionError:
        raise BadRequest("the JSON is nested too deep") from None


def _id_in(raw: Any) -> str:
    """The id of a request that is wrong otherwise, if it has one."""
    found = (raw.get("requestId") or raw.get("request_id")) if isinstance(raw, dict) else None
    return found if isinstance(found, str) else ""


def _canonical(raw: Any) -> Any:
    """The request that *raw* describes, in the one spelling."""
    if not isinstance(raw, dict):
        return raw
    post = spelling.canonical_keys(raw)
    if isinstance(header := post.pop("header", None), dict):  # as the old Python client sends it
        for name in ("execEndpoint", "targetPeapod"):
            if name in (canonical := spelling.canonical_keys(header)):
                post.setdefault(name, canonical[name])
    if "targetExecutor" in post:
        post.setdefault("targetPeapod", post.pop("targetExecutor"))
    data = post.get("data")
    if isinstance(data, dict) and data.keys() & {"docs", "groundtruths"}:
        post["data"] = {name: _canonical_list(items) for name, items in data.items() if items is not None}
    elif data is not None:
        post["data"] = _canonical_list(data)
    return post


def _canonical_list(items: Any) -> Any:
    return [spelling.canonical_document(item, _KNOWN) for item in (items if isinstance(items, list) else [items])]


def encode_response(response: Response) -> bytes:
    """See `ICodec`."""
    request = response.request
    docs, groundtruths = response.docs, response.groundtruths
    if request.arrays == "list":
        docs, groundtruths = _with_lists(docs), _with_lists(groundtruths)
    return plain.to_json(
        PostAnswer(
            request.request_id,
            Data(docs, groundtruths),
            request.header,
            request.parameters,
            response.routes,
            response.status,
        )
    )


class _Told(Struct, rename="camel"):
    """An answer as any server tells it; the old one leaves some of it out."""

    data: Data = msgspec.field(default_factory=Data)
    request_id: str = ""
    header: Header = Header("")
    parameters: dict[str, Any] | None = None
    routes: list[Route] | None = None
    status: Status | None = None


_decode_answer = msgspec.json.Decoder(_Told).decode


def encode_request(request: Request) -> bytes:
    """See `ICodec`."""
    docs = request.docs
    return plain.to_json(
        PostBody(
            data=Data(docs, request.groundtruths) if request.groundtruths else docs,
            exec_endpoint=request.header.exec_endpoint,
            parameters=request.parameters,
            target_peapod=request.header.target_peapod,
            request_id=request.request_id,
            timeout=request.timeout if request.timeout is not None else UNSET,
            arrays=request.arrays if request.arrays != "dense" else UNSET,
        )
    )


def decode_response(body: bytes) -> Response:
    """See `ICodec`."""
    try:
        told = _decode_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _decode_answer_tolerantly(body)
    docs, groundtruths = DocumentArray(told.data.docs), DocumentArray(told.data.groundtruths)
    request = Request(
        request_id=told.request_id,
        header=told.header,
        docs=docs,
        groundtruths=groundtruths,
        parameters=told.parameters or {},
    )
    return Response(request, docs, groundtruths, told.routes or [], told.status or Status())


def _decode_answer_tolerantly(body: bytes) -> _Told:
    try:
        raw = _decode_anything(body)
        if isinstance(raw, dict) and isinstance(raw.get("data"), dict):
            raw["data"] = {name: _canonical_list(items or []) for name, items in raw["data"].items()}
        return msgspec.convert(raw, _Told)
    except (ValueError, RecursionError) as wrong:
        raise BadRequest(f"not an answer: {wrong}") from None


def _with_lists(documents: list[Document]) -> DocumentArray:
    """*documents* with their arrays as nested lists; copies, so that who keeps the originals sees no change."""
    return DocumentArray(map(_with_list, documents))


def _with_list(document: Document) -> Document:
    twin = copy.copy(document)
    if isinstance(twin._embedding, NdArray):
        twin._embedding = _listed(document.embedding)
    if isinstance(twin._blob, NdArray):
        twin._blob = _listed(document.blob)
    twin._chunks, twin._matches = _with_lists(twin._chunks), _with_lists(twin._matches)
    return twin


def _listed(array: Any) -> list[Any]:
    return cast("list[Any]", (array.toarray() if hasattr(array, "toarray") else array).tolist())
