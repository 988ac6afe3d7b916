"""The head of an answer, and the fields that every answer has."""

from __future__ import annotations

import math
from http import HTTPStatus
from time import gmtime, strftime, time

from ...answer import Answer

__all__ = ["SERVER", "answer_bytes", "fields", "http_date"]

SERVER = b"twisted_flow"


class _Date:
    """The Date field; formatted once a second."""

    second, text = 0, b""


def http_date() -> bytes:
    """Now, as RFC 9110 writes it."""
    now = int(time())
    if now != _Date.second:
        _Date.second, _Date.text = now, strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(now)).encode()
        _heads.clear()
    return _Date.text


_heads: dict[tuple[int, str], bytes] = {}  # all but the length, good for one second


def fields(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The header fields of *answer* beside Server, Date and Content-Length."""
    found = [(b"Content-Type", answer.content_type.encode())]
    if answer.error is not None and answer.error.retry_after is not None:
        found.append((b"Retry-After", b"%d" % math.ceil(answer.error.retry_after)))
    return found


def answer_bytes(status: int, answer: Answer, close: bool = False) -> bytes:
    """*answer*, head and body in one.

    :param close: whether the connection ends with it.
    """
    date = http_date()
    head = _heads.get((status, answer.content_type)) if answer.error is None else None
    if head is None:
        lines = [(b"Server", SERVER), (b"Date", date), *fields(answer)]
        head = b"HTTP/1.1 %d %b\r\n" % (status, _phrase(status))
        head += b"".join(b"%b: %b\r\n" % line for line in lines)
        if answer.error is None:
            _heads[status, answer.content_type] = head
    ending = b"Connection: close\r\nContent-Length: %d\r\n\r\n" if close else b"Content-Length: %d\r\n\r\n"
    return b"".join((head, ending % len(answer.body), answer.body))


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:  # ours alone, such as 499
        return b"Unknown"
