"""Documents one behind the other that differ in nothing but their ids and the numbers of an array.

That is how most large messages look: many embeddings, with ids of one length. They are parsed all at once.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from ..document import Document
from ..ndarray import DenseNdArray, NdArray
from .quick import frame_of_size, stay
from .read import blank
from .wire import key_of, long_size, tags_of

__all__ = ["read_alike"]

_DOCUMENT = tags_of("jina.DocumentProto")
_ID, _EMBEDDING = key_of(_DOCUMENT["id"]), _DOCUMENT["embedding"]


def read_alike(body: bytes, begin: int, at: int, stop: int, end: int, documents: list[Document]) -> int:
    """Add to *documents* those that follow the last of them in *body*, and are laid out as that one is.

    :param begin: where the last one's field begins; *at* where its content does, and *stop* where it ends.
    :param end: where all documents end.
    :return: where the first that is laid out otherwise begins, or *end*.
    """
    if body[stop : stop + at - begin] != body[begin:at] or body[at] != _ID:  # another size, most often
        return stop
    id_end = at + 2 + body[at + 1]
    if not 0 < body[at + 1] < 128 or body[id_end : id_end + 2] != _EMBEDDING:
        return stop
    size, array = long_size(body, id_end + 2) if body[id_end + 2] > 127 else (body[id_end + 2], id_end + 3)
    frame = frame_of_size(size)
    if frame is None or array + size != stop:
        return stop
    before, head, behind, tail, shape, dtype = frame
    if body[array : array + head] != before or body[stop - tail : stop] != behind:  # it is another's
        return stop
    lead, middle = body[begin : at + 2], body[id_end:array] + before
    layout = Struct(f"{len(lead)}s{body[at + 1]}s{len(middle)}s{size - head - tail}x{tail}s")
    known = (lead, middle, behind)
    unpack, size, start, at = layout.unpack_from, layout.size, array + head - begin, stop
    source = memoryview(body) if stay(body, size - start - tail) else body
    while at + size <= end:
        its_lead, id, its_middle, its_behind = unpack(body, at)
        if (its_lead, its_middle, its_behind) != known:
            break
        document: Any = blank()
        try:
            document._id = id.decode()
        except UnicodeDecodeError:
            break
        document._embedding = NdArray(DenseNdArray(source[at + start : at + size - tail], shape.copy(), dtype))
        documents.append(document)
        at += size
    return at
