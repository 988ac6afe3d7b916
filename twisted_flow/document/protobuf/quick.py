"""Documents straight from protobuf bytes: what most documents are, in half the time that protobuf's reader takes.

Whatever is rare or wrong in a document is left to that reader (`read`), which knows all of the format.
"""

from __future__ import annotations

from struct import Struct, error

from ..document import Document
from ..ndarray import DenseNdArray, NdArray
from .descriptor import message
from .read import DocumentProto, blank, read_dense, read_messages, read_struct, whole
from .wire import Unusual, key_of, long_size, tags_of

__all__ = ["ODD", "frame_of_size", "read_document", "read_parameters", "stay"]

ODD = (Unusual, IndexError, UnicodeDecodeError, error)
"""What is raised over bytes that are left to protobuf's reader."""

_KEYS = {name: key_of(tag) for name, tag in tags_of("jina.DocumentProto").items()}
_ID, _TEXT, _TAGS, _EMBEDDING = (_KEYS[name] for name in ("id", "text", "tags", "embedding"))
_BUFFER, _BLOB, _URI = (_KEYS[name] for name in ("buffer", "blob", "uri"))
_TEXTS = {_KEYS[name]: f"_{name}" for name in ("mime_type", "parent_id", "modality")}
_NUMBERS = {_KEYS[name]: f"_{name}" for name in ("granularity", "adjacency", "offset")}
_RELATIVES = {_KEYS[name]: f"_{name}" for name in ("chunks", "matches")}
_VALUE = {name: key_of(tag) for name, tag in tags_of("google.protobuf.Value").items()}
_NUMBER, _STRING = _VALUE["number_value"], _VALUE["string_value"]
_FIRST, _SECOND = 0x0A, 0x12  # the keys of the fields 1 and 2, where they have a size
_DEEPEST = 64  # levels; protobuf's reader takes 100 and complains of more

_double = Struct("<d").unpack_from
_DenseNdArrayProto, _Struct = message("jina.DenseNdArrayProto"), message("google.protobuf.Struct")


def read_document(body: bytes, at: int, end: int, level: int = 0) -> Document:
    """The document that is encoded in *body*, from *at* to *end*; not yet held to the rules (see `check.complete`).

    :raises DecodeError: if that is no document.
    """
    try:
        return _document(body, at, end, level)
    except ODD:
        return read_messages([DocumentProto.FromString(body[at:end])])[0]


def _document(body: bytes, at: int, end: int, level: int) -> Document:
    document: Document = blank()
    contents = 0
    while at < end:
        key, size = body[at], body[at + 1]
        at += 2
        if key > 127:
            key |= size << 8
            size = body[at]
            at += 1
        if size > 127:
            size, at = long_size(body, at - 1)
        stop = at + size
        if stop > end and key not in _NUMBERS:
            raise Unusual
        if key == _ID:
            document._id = body[at:stop].decode()
        elif key == _TEXT:
            document._text = body[at:stop].decode() if size < _LARGE else str(memoryview(body)[at:stop], "utf-8")
            contents += 1
        elif key == _EMBEDDING:
            if document._embedding is not None:
                raise Unusual("to be merged")
            document._embedding = _array(body, at, stop)
        elif key == _TAGS:
            if document._tags:
                raise Unusual("to be merged")
            document._tags = _struct(body, at, stop, 0)
        elif key == _BLOB:
            document._blob = _array(body, at, stop)
            contents += 1
        elif key in _TEXTS:
            setattr(document, _TEXTS[key], body[at:stop].decode())
        elif key in _RELATIVES:
            if level == _DEEPEST:
                raise Unusual
            getattr(document, _RELATIVES[key]).append(_document(body, at, stop, level + 1))
        elif key == _BUFFER:
            document._buffer = body[at:stop]
            contents += 1
        elif key == _URI:
            document._uri = body[at:stop].decode()
            contents += 1
        elif key in _NUMBERS and size < 1 << 32 and at <= end:  # then there is no size: this is the number
            setattr(document, _NUMBERS[key], size)
            continue
        else:
            raise Unusual
        at = stop
    if contents > 1:
        raise Unusual("the last one counts")
    return document


# -- arrays

_Frame = tuple[bytes, int, bytes, int, list[int], str]
_frames: dict[int, _Frame] = {}  # by the size of all: what stood before and behind the numbers, and what it meant
_MOST_FRAMES, _LONGEST_FRAME = 256, 64


def _array(body: bytes, at: int, end: int) -> NdArray:
    """A plain dense array; it looks most like the last one of its size."""
    before, start, behind, stop, shape, dtype = _frames.get(end - at) or _frame(body, at, end)
    start, stop = at + start, end - stop
    if body[at:start] != before or body[stop:end] != behind:
        before, start, behind, stop, shape, dtype = _frame(body, at, end)
        start, stop = at + start, end - stop
    source = memoryview(body) if stay(body, stop - start) else body
    return NdArray(DenseNdArray(source[start:stop], shape.copy(), dtype))


_LARGE, _SHARE = 1 << 16, 4


def stay(body: bytes, size: int) -> bool:
    """Whether the *size* bytes of an array stay in *body* until somebody looks at the array, and are not copied.

    Nobody who keeps a document shall keep many times its size alive: so an array has to be a quarter of its message.
    """
    return size >= _LARGE and size * _SHARE >= len(body)


def frame_of_size(size: int) -> _Frame | None:
    """What stood around the numbers of the last plain array of *size* bytes: before them, and how many bytes that is;
    behind them, and how many; the array's shape; its dtype.
    """
    return _frames.get(size)


def _frame(body: bytes, begin: int, end: int) -> _Frame:
    dense, dense_end = _entry(body, begin, end, _FIRST)
    at, stop = _entry(body, dense, end, _FIRST)
    if dense_end != end or end - stop > _LONGEST_FRAME:
        raise Unusual
    rest = read_dense(_DenseNdArrayProto.FromString(body[stop:end]))
    if rest.buffer or rest.quantization or rest.original_dtype:
        raise Unusual
    if len(_frames) >= _MOST_FRAMES:
        _frames.clear()
    frame = body[begin:at], at - begin, body[stop:end], end - stop, rest.shape, rest.dtype
    _frames[end - begin] = frame
    return frame


# -- tags and parameters


def read_parameters(body: bytes, at: int, end: int) -> dict[str, object]:
    """The ``google.protobuf.Struct`` in *body*, from *at* to *end*; whole numbers within ±2^53 as ints.

    :raises DecodeError: if that is none.
    """
    try:
        return _struct(body, at, end, 0)
    except ODD:
        return read_struct(_Struct.FromString(body[at:end]))


def _struct(body: bytes, at: int, end: int, level: int) -> dict[str, object]:
    values = {}
    while at < end:
        begin, stop = _entry(body, at, end, _FIRST)
        key, key_end = _entry(body, begin, stop, _FIRST)
        value, value_end = _entry(body, key_end, stop, _SECOND)
        if value_end != stop:
            raise Unusual
        values[body[key:key_end].decode()] = _value(body, value, stop, level)
        at = stop
    return values


def _entry(body: bytes, at: int, end: int, key: int) -> tuple[int, int]:
    """Where the field *key* at *at* begins and ends."""
    if body[at] != key:
        raise Unusual
    size, at = long_size(body, at + 1) if body[at + 1] > 127 else (body[at + 1], at + 2)
    if at + size > end:
        raise Unusual
    return at, at + size


def _value(body: bytes, at: int, end: int, level: int) -> object:
    key = body[at]
    if key == _NUMBER:
        if end - at != 9:
            raise Unusual
        return whole(_double(body, at + 1)[0])
    if key == _VALUE["bool_value"] or key == _VALUE["null_value"]:
        if end - at != 2 or body[at + 1] > 1:
            raise Unusual
        return bool(body[at + 1]) if key == _VALUE["bool_value"] else None
    begin, stop = _entry(body, at, end, key)
    if stop != end or level == _DEEPEST:
        raise Unusual
    if key == _STRING:
        return body[begin:stop].decode()
    if key == _VALUE["struct_value"]:
        return _struct(body, begin, stop, level + 1)
    if key == _VALUE["list_value"]:
        return _list(body, begin, stop, level + 1)
    raise Unusual


def _list(body: bytes, at: int, end: int, level: int) -> list[object]:
    values = []
    while at < end:
        begin, stop = _entry(body, at, end, _FIRST)
        values.append(_value(body, begin, stop, level))
        at = stop
    return values
