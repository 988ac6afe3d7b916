"""Large JSON bodies, cut up between their documents, so that none of them is decoded in one go.

A body is looked at block by block: what is structure in it (braces, brackets and commas outside of texts), and how deep
that lies. So documents are counted before they are made, and a body of many is decoded a slice at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ..errors import PayloadTooLarge
from ..limits import Limits

__all__ = ["ARRAYS", "Cut", "cut"]

_BLOCK = 1 << 14  # bytes looked at in one step: of empty documents a few milliseconds
_SLICE = 1 << 15  # bytes of documents that are decoded in one step, unless one document has more
_OPENS, _CLOSES, _COMMA = b"{[", b"}]", b","
_DEPTH = 3  # of `{"data": {"docs": [` the documents' list is the third level; what lies deeper is theirs
_PER_CONTAINER = 4  # values for each list or object: they are made in C, and those are looked into in Python

ARRAYS = ("/data", "/data/docs", "/data/groundtruths")
"""Where lists of documents may stand in a request."""

_kinds = np.zeros(256, np.int8)
for _bytes, _kind in ((_OPENS, 1), (_CLOSES, -1), (_COMMA, 2)):
    for _byte in _bytes:
        _kinds[_byte] = _kind


_Numbers = NDArray[np.integer[Any]]


class Cut(Struct):
    """A body that was cut up."""

    rest: bytes
    """The body without its documents: their lists are empty."""
    slices: dict[str, list[tuple[int, int]]]
    """For each of `ARRAYS` that there is: where in the body some whole documents begin, and where they end."""


class _Budget:
    """How many lists, objects and values one document, or the rest of the body, may still have."""

    def __init__(self, limits: Limits) -> None:
        self.most = limits.max_values
        self.renew()

    def renew(self) -> None:
        self.containers, self.values = self.most, self.most * _PER_CONTAINER

    def spend(self, containers: int, values: int) -> None:
        self.containers -= containers
        self.values -= values
        if self.containers < 0 or self.values < 0:
            raise PayloadTooLarge(
                f"a document, or what stands beside the documents, of more than {self.most} lists and objects, or "
                f"{self.most * _PER_CONTAINER} values: send arrays in the dense form"
            )


def _structure(body: bytes) -> Iterator[tuple[_Numbers, _Numbers, _Numbers, _Numbers]]:
    """Block by block what is structure in *body*: positions, kinds (1 opens, -1 closes, 2 a comma), and the depth in
    which each lies (that of what it opens, or closes); and, up to each, how many lists and objects were opened.
    """
    inside, escaped, depth, opened = 0, False, 0, 0
    for begin in range(0, len(body), _BLOCK):
        block = np.frombuffer(body, np.uint8, min(_BLOCK, len(body) - begin), begin)
        quotes = block == 0x22
        backslashes = np.flatnonzero(block == 0x5C)
        if backslashes.size or escaped:
            escaped = _drop_escaped(block, quotes, backslashes, escaped)
        texts = np.cumsum(quotes, dtype=np.int32) + inside
        inside = int(texts[-1]) & 1
        kinds = _kinds[block]
        kinds[(texts & 1).astype(bool)] = 0
        offsets = np.flatnonzero(kinds)
        kinds = kinds[offsets]
        steps = np.where(kinds == 2, 0, kinds)
        after = np.cumsum(steps, dtype=np.int64) + depth
        opens = np.cumsum(kinds == 1, dtype=np.int64) + opened
        if offsets.size:
            depth, opened = int(after[-1]), int(opens[-1])
        yield offsets + begin, kinds, after + (kinds == -1), opens


def _drop_escaped(block: _Numbers, quotes: _Numbers, backslashes: _Numbers, escaped: bool) -> bool:
    """Take those *quotes* out that a backslash stands before; whether one stands before the next block."""
    if escaped:
        quotes[0] = False
    if not backslashes.size:
        return False
    begins = np.ones(backslashes.size, bool)  # of runs of backslashes, of which each second one is escaped itself
    begins[1:] = np.diff(backslashes) != 1
    offsets = backslashes - np.maximum.accumulate(np.where(begins, backslashes, 0))
    if escaped and backslashes[0] == 0:
        length = int(begins[1:].argmax()) + 1 if begins[1:].any() else backslashes.size
        offsets[:length] += 1
    ends = backslashes[offsets % 2 == 0] + 1
    if ends.size and ends[-1] == block.size:
        quotes[ends[:-1]] = False
        return True
    quotes[ends] = False
    return False


def cut(body: bytes, limits: Limits) -> Generator[None, None, Cut | None]:
    """Cut up *body*, a step at a time.

    :return: None where it is not as most are, and has to be decoded in one go; it is small enough for that.
    :raises PayloadTooLarge: if there are more documents than may be (only those that stand in the lists are counted),
        or one of them has more in it than may be.
    """
    budget, found = _Budget(limits), _Found(body)
    documents, before_values, before_opens, values = 0, 0, 0, 0
    strange = False
    for offsets, kinds, depths, opens in _structure(body):
        shallow = np.flatnonzero(depths <= _DEPTH)
        for index in shallow.tolist():
            inside = found.array is not None
            kind, depth = int(kinds[index]), int(depths[index])
            if inside and depth > found.depth:
                continue
            now = values + index
            budget.spend(int(opens[index]) - before_opens, now - before_values)
            before_opens, before_values = int(opens[index]), now
            counted = found.take(int(offsets[index]), kind, depth)
            if counted:
                documents += counted
                budget.renew()
                if documents > limits.max_documents:
                    raise PayloadTooLarge(f"more than {limits.max_documents} documents")
        values += len(offsets)
        if offsets.size:  # what goes on into the next block is held to the bound as well
            budget.spend(int(opens[-1]) - before_opens, values - before_values)
            before_opens, before_values = int(opens[-1]), values
        strange = strange or found.strange
        yield
    return None if strange or not found.slices else found.cut()


class _Found:
    """The lists of documents in a body, as they are found."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.array: str | None = None  # the list that we are in
        self.depth = 0  # in which its documents are told apart
        self.strange = False
        self.slices: dict[str, list[tuple[int, int]]] = {}
        self._last = -1  # where the last piece of structure was
        self._begin = self._slice = 0
        self._in_data = False
        self._spans: list[tuple[int, int]] = []  # of the lists' insides

    def take(self, at: int, kind: int, depth: int) -> int:
        """The next piece of structure: whether (1) a document ends with it."""
        before, self._last = self.body[self._last + 1 : at] if at - self._last < 64 else b"?", at
        if self.array is not None:
            return self._within(at, kind)
        if kind == 1:
            self._opened(at, depth, before.strip())
        elif kind == -1 and depth == 2:
            self._in_data = False
        return 0

    def _opened(self, at: int, depth: int, key: bytes) -> None:
        is_list = self.body[at] == 0x5B
        if depth == 2 and key == b'"data":' and not is_list:
            self._in_data = True
        name = None
        if depth == 2 and is_list and key == b'"data":':
            name = "/data"
        elif depth == 3 and is_list and self._in_data and key in (b'"docs":', b'"groundtruths":'):
            name = "/data/" + key[1:-2].decode()
        if name is None:
            return
        if name in self.slices:
            self.strange = True  # twice: the last one counts, as JSON's readers have it
        self.array, self.depth = name, depth
        self._begin = self._slice = at + 1
        self.slices[name] = []

    def _within(self, at: int, kind: int) -> int:
        if kind == 1:
            return 0
        name = self.array or ""
        ends = kind == -1
        if ends:
            self.array = None
            self._spans.append((self._begin, at))
        if ends and not self.body[self._slice : at].strip() and self._slice == self._begin:
            return 0  # there are none
        if ends or at - self._slice >= _SLICE:
            self.slices[name].append((self._slice, at))
            self._slice = at + 1
        return 1

    def cut(self) -> Cut:
        """What was found."""
        pieces, at = [], 0
        for begin, end in self._spans:
            pieces.append(self.body[at:begin])
            at = end
        return Cut(b"".join([*pieces, self.body[at:]]), self.slices)
