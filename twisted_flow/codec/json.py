"""JSON, as HTTP and the WebSocket's text frames speak it.

A request is decoded straight into types. Only what that refuses is looked at again with tolerance for the other
spellings that existing clients use (`document.spelling`); if it is refused again, that second error is the one told.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Generator

import msgspec
import numpy as np
from msgspec import UNSET
from zope.interface import moduleProvides

from ..document import Document, DocumentArray, plain, spelling
from ..document.check import Counter, complete, received
from ..document.identity import new_id
from ..document.listed import expanded_size, with_lists
from ..document.numbers import settle
from ..document.outgoing import settled
from ..document.values import plain_dict
from ..errors import BadRequest, FlowError, PayloadTooLarge, ValidationError
from ..interfaces import ICodec
from ..limits import LONGEST_NAME, MAX_DEPTH, Limits
from ..message import Header, Request, Response, Status, bare_request, check_names
from .bodies import Data, Named, PostAnswer, PostBody, ToldAnswer
from .pending import PENDING, is_pending, may_be_part
from .slices import ARRAYS, cut
from .tolerance import canonical_list, canonical_request, id_in
from .unsendable import telling_the_place

__all__ = [
    "content_type",
    "decode_in_steps",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "endpoint_at",
    "may_be_part",
    "read_documents",
]

moduleProvides(ICodec)

content_type = "application/json"
endpoint_at = "/execEndpoint"


_LARGE, _MANY, _OBJECTS = 1 << 20, 160_000, 10_000
"""Bodies of more than so many bytes are decoded in steps; of more than so many if they have so many objects."""

_decode = msgspec.json.Decoder(PostBody).decode
_decode_documents = msgspec.json.Decoder(list[Document]).decode
_decode_anything = msgspec.json.Decoder().decode
_decode_id = msgspec.json.Decoder(Named).decode


def decode_request(body: bytes, endpoint: str | None, limits: Limits, request_id: str = "") -> Request:
    """See `ICodec`."""
    try:
        post = _decode(body)
    except msgspec.ValidationError:
        post = _decode_tolerantly(body)
    except (ValueError, RecursionError) as error:
        if not body.startswith(BOM_UTF8):
            raise _not_json(error) from None
        post = _decode_tolerantly(body[len(BOM_UTF8) :])  # RFC 8259 section 8.1: a mark may be passed over
    if len(body) > LONGEST_NAME:  # else none can be too long
        check_names(post.request_id, post.exec_endpoint or "", post.target_peapod)
    if request_id and not post.request_id:
        post.request_id = request_id
    if post.cancel is not UNSET:
        return bare_request(post.cancel, cancels=True)
    try:
        counter = Counter(limits) if len(body) >> 1 > limits.max_documents else None  # one takes two bytes at least
        return _request(post, endpoint, limits, counter)
    except FlowError as refused:
        refused.request_id = post.request_id
        raise


def decode_in_steps(
    body: bytes, endpoint: str | None, limits: Limits, request_id: str = ""
) -> Generator[None, None, Request] | None:
    """See `ICodec`."""
    if len(body) < _LARGE and (len(body) < _MANY or _objects(body) < _OBJECTS):
        return None
    return _in_steps(body, endpoint, limits, request_id)


def _objects(body: bytes) -> int:
    """How many objects there may be in *body*. (``bytes.count`` takes five times as long.)"""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord("{")))


def _in_steps(body: bytes, endpoint: str | None, limits: Limits, request_id: str) -> Generator[None, None, Request]:
    try:
        parts = yield from cut(body, limits)
    except PayloadTooLarge as refused:
        refused.request_id = _request_id(body)
        raise
    if parts is None:
        return decode_request(body, endpoint, limits, request_id)
    counter = Counter(limits)
    read: dict[str, list[Document]] = {}
    wrong: ValidationError | None = None
    for array, spans in parts.slices.items():
        documents = read[array] = []
        for begin, end in spans:
            if wrong is None:  # else the rest says whose mistake it is
                try:
                    documents += read_documents(body[begin:end], array, len(documents), limits, counter)
                except ValidationError as error:
                    wrong = error
            yield
    request = decode_request(parts.rest, endpoint, limits, request_id)
    if wrong is not None:
        wrong.request_id = request.request_id
        raise wrong
    request.docs.extend(read.get(ARRAYS[0], ()))
    request.docs.extend(read.get(ARRAYS[1], ()))
    request.groundtruths.extend(read.get(ARRAYS[2], ()))
    return request


def _request_id(body: bytes) -> str:
    """The id in *body*, which is not decoded; '' if it cannot be found."""
    try:
        return id_in({"requestId": _decode_id(body).request_id})
    except (ValueError, RecursionError):
        return ""


def read_documents(items: bytes, array: str, first: int, limits: Limits, counter: Counter) -> list[Document]:
    """The documents that *items* are, as JSON, which stand one after another at *array*, behind *first* others.

    Raises what `ICodec.decode_request` does.
    """
    body = b"[%b]" % items
    try:
        documents = _decode_documents(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raw = _decode_raw(body)
        try:
            documents = msgspec.convert(canonical_list(raw), list[Document])
        except msgspec.ValidationError as raised:
            error = spelling.located(raised, raw)
            _, position, *path = error.errors[0].pointer.split("/")
            pointer = "/".join([array, str(first + int(position)), *path])
            raise ValidationError.at(pointer, error.errors[0].detail) from None
    complete(documents, array, limits.max_depth, counter=counter, first=first)
    return documents


def _request(post: PostBody, endpoint: str | None, limits: Limits, counter: Counter | None) -> Request:
    data, max_depth = post.data, limits.max_depth
    if data is None:
        docs, groundtruths = DocumentArray(), DocumentArray()
    elif isinstance(data, list):
        docs, groundtruths = DocumentArray(data), DocumentArray()
        complete(docs, "/data", max_depth, counter=counter)
    else:
        docs, groundtruths = DocumentArray(data.docs), DocumentArray(data.groundtruths)
        complete(docs, "/data/docs", max_depth, counter=counter)
        complete(groundtruths, "/data/groundtruths", max_depth, counter=counter)
    if post.parameters:
        settle(post.parameters, "/parameters", max_depth)
    if endpoint is None:
        endpoint = post.exec_endpoint or ""
    pending = post.status is not UNSET and is_pending(post.status)
    header = Header(endpoint, post.target_peapod)
    return Request(
        request_id=post.request_id or new_id(),
        header=header,
        docs=docs,
        groundtruths=groundtruths,
        parameters=post.parameters or {},
        timeout=post.timeout or None,
        arrays=post.arrays or "dense",
        stream=post.stream is True,
        pending=pending,
    )


def _not_json(error: Exception) -> BadRequest:
    """What a client is told whose body the decoder refused with *error*: a DecodeError, or UnicodeDecodeError."""
    if isinstance(error, RecursionError):
        return BadRequest("the JSON is nested too deep")
    return BadRequest(f"not JSON: {error}")


def _decode_raw(body: bytes) -> object:
    try:
        return _decode_anything(body)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from None


def _decode_tolerantly(body: bytes) -> PostBody:
    raw = _decode_raw(body)
    try:
        return msgspec.convert(canonical_request(raw), PostBody)
    except msgspec.ValidationError as raised:
        error = spelling.located(raised, raw)
        error.request_id = id_in(raw)
        raise error from None
    except RecursionError as raised:
        raise _not_json(raised) from None


def encode_response(response: Response, limits: Limits) -> bytes:
    """See `ICodec`."""
    request = response.request
    docs, groundtruths = response.docs, response.groundtruths
    settled(docs)
    if groundtruths:
        settled(groundtruths)
    if request.arrays == "list":
        if expanded_size(docs) + expanded_size(groundtruths) > limits.max_expanded:
            raise PayloadTooLarge(f"as lists the arrays are more than {limits.max_expanded} numbers and lists")
        docs, groundtruths = with_lists(docs), with_lists(groundtruths)
    return plain.to_json(
        PostAnswer(
            request.request_id,
            Data(docs, groundtruths),
            request.header,
            request.parameters and plain_dict(request.parameters),
            response.routes,
            response.status,
        )
    )


_decode_answer = msgspec.json.Decoder(ToldAnswer).decode


def encode_request(request: Request) -> bytes:
    """See `ICodec`."""
    if request.cancels:
        return msgspec.json.encode({"cancel": request.request_id})
    docs, groundtruths = request.docs, request.groundtruths
    with telling_the_place(request):
        settled(docs)
        settled(groundtruths)
        return plain.to_json(
            PostBody(
                data=Data(docs, groundtruths) if groundtruths else docs,
                exec_endpoint=request.header.exec_endpoint,
                parameters=plain_dict(request.parameters),
                target_peapod=request.header.target_peapod,
                request_id=request.request_id,
                timeout=request.timeout if request.timeout is not None else UNSET,
                arrays=request.arrays if request.arrays != "dense" else UNSET,
                stream=request.stream or UNSET,
                status=PENDING if request.pending else UNSET,
            )
        )


def decode_response(body: bytes) -> Response:
    """See `ICodec`."""
    try:
        told = _decode_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _decode_answer_tolerantly(body)
    docs, groundtruths = DocumentArray(told.data.docs), DocumentArray(told.data.groundtruths)
    try:
        received(docs, "/data/docs")
        received(groundtruths, "/data/groundtruths")
        if told.parameters:
            settle(told.parameters, "/parameters", MAX_DEPTH)
    except ValidationError as error:
        raise BadRequest(f"not an answer: {error}") from None
    request = Request(
        request_id=told.request_id,
        header=told.header,
        docs=docs,
        groundtruths=groundtruths,
        parameters=told.parameters or {},
    )
    return Response(request, docs, groundtruths, told.routes or [], told.status or Status())


def _decode_answer_tolerantly(body: bytes) -> ToldAnswer:
    try:
        raw = _decode_raw(body)
        if isinstance(raw, dict) and isinstance(raw.get("data"), dict):
            raw["data"] = {name: canonical_list(items or []) for name, items in raw["data"].items()}
        return msgspec.convert(raw, ToldAnswer)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"not an answer: {error}") from None
