"""How much there is in a protobuf message, told from its bytes before anything is made of them.

Two bytes are a whole document, four a value in its tags; as objects they take hundreds of times as much. So what is
large is counted first.
"""

from __future__ import annotations

from functools import cache

from ...errors import PayloadTooLarge
from .descriptor import POOL
from .wire import Unusual, key_of, long_size, varint

__all__ = ["LARGE", "Census"]

LARGE = 1 << 16  # bytes: of what has fewer not much can be made
_DOCUMENT = "jina.DocumentProto"
_SIZES = {1: 8, 5: 4}  # of a field's wire type, where that tells it


@cache
def _inner(name: str) -> dict[int, str]:
    """The keys of those fields of the message called *name* that are messages, and which."""
    fields = POOL.FindMessageTypeByName(name).fields
    return {
        key_of(varint(each.number << 3 | 2)): each.message_type.full_name
        for each in fields
        if each.message_type is not None
    }


class Census:
    """Counts fields and documents, up to a bound.

    :param fields: how many there may be.
    :param documents: how many of them may be documents.
    """

    def __init__(self, fields: int, documents: int) -> None:
        self.fields, self.documents = self.most, self.most_documents = fields, documents

    def take(self, name: str, body: bytes, at: int, end: int) -> None:
        """Count what is in *body* from *at* to *end*, a message called *name*. What is broken is left to its reader.

        :raises PayloadTooLarge: if there is more than may be.
        """
        todo = [(name, at, end)]
        try:
            while todo:
                self._message(*todo.pop(), body, todo)
        except (IndexError, Unusual):
            return

    def _message(self, name: str, at: int, end: int, body: bytes, todo: list[tuple[str, int, int]]) -> None:
        inner = _inner(name)
        if name == _DOCUMENT:
            self.documents -= 1
            if self.documents < 0:
                raise PayloadTooLarge(f"more than {self.most_documents} documents")
        while at < end:
            self.fields -= 1
            if self.fields < 0:
                what = "a document, or what stands beside the documents,"
                raise PayloadTooLarge(f"{what} of more than {self.most} fields")
            key = body[at]
            wire_type = key & 7
            at += 1
            if key > 127:
                key |= body[at] << 8
                at += 1
                if key > 0x7FFF:
                    _, at = long_size(body, at - 1)
            if wire_type == 2:
                size, at = long_size(body, at) if body[at] > 127 else (body[at], at + 1)
                if key in inner:
                    todo.append((inner[key], at, min(at + size, end)))
                at += size
            elif wire_type == 0:
                while body[at] > 127:
                    at += 1
                at += 1
            elif wire_type in _SIZES:
                at += _SIZES[wire_type]
            else:  # a group, which no message of ours has
                raise Unusual
