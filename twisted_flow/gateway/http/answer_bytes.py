"""The head of an answer, and the fields that every answer has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus
from time import gmtime, strftime, time

from ...answer import Answer

__all__ = ["NO_BODY", "REQUEST_ID", "SERVER", "answer_bytes", "chunk", "fields", "http_date", "phrase", "stream_head"]

SERVER = b"twisted_flow"
REQUEST_ID = b"X-Request-ID"
"""The field by which a client, or a proxy, names a request, and is told the name that it has."""
NO_BODY = (204, 205)
"""Statuses whose answers have no body (RFC 9110 sections 15.3.5 and 15.3.6)."""


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


_PHRASES = {422: b"Unprocessable Entity", 499: b"Client Closed Request"}
_heads: dict[tuple[int, str], bytes] = {}  # all but the length, good for one second


def fields(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The header fields of *answer* beside Server, Date and Content-Length."""
    found = [(b"Content-Type", answer.content_type.encode())] if answer.content_type else []
    error = answer.error
    if error is not None and error.retry_after is not None:
        found.append((b"Retry-After", b"%d" % math.ceil(error.retry_after)))
    if error is not None and error.http_status == 401:  # RFC 6750 section 3
        found.append((b"WWW-Authenticate", b"Bearer"))
    return found


def answer_bytes(
    status: int,
    answer: Answer,
    close: bool = False,
    head: bool = False,
    more: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """*answer*, head and body in one.

    :param close: whether the connection ends with it.
    :param head: whether a HEAD request asked for it: then the body is only told of.
    :param more: header fields that it has beside the usual ones.
    """
    if status in NO_BODY:
        answer = Answer(b"", "", answer.error)
    date = http_date()
    lines = _heads.get((status, answer.content_type)) if answer.error is None else None
    if lines is None:
        lines = b"HTTP/1.1 %d %b\r\n" % (status, phrase(status))
        lines += b"".join(b"%b: %b\r\n" % line for line in [(b"Server", SERVER), (b"Date", date), *fields(answer)])
        if answer.error is None:
            _heads[status, answer.content_type] = lines
    if more:
        lines += b"".join([b"%b: %b\r\n" % line for line in more])
    ending = b"Connection: close\r\nContent-Length: %d\r\n\r\n" if close else b"Content-Length: %d\r\n\r\n"
    if status == 204:  # RFC 9110 section 8.6: not even a length
        return lines + (b"Connection: close\r\n\r\n" if close else b"\r\n")
    return b"".join((lines, ending % len(answer.body), b"" if head else answer.body))


def stream_head(status: int, content_type: str, more: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer that comes in chunks (RFC 9112 section 7.1)."""
    lines = [(b"Server", SERVER), (b"Date", http_date()), (b"Content-Type", content_type.encode()), *more]
    lines.append((b"Transfer-Encoding", b"chunked"))
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, phrase(status), b"".join([b"%b: %b\r\n" % line for line in lines]))


def chunk(data: bytes) -> bytes:
    """*data* as a chunk; b'' is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def phrase(status: int) -> bytes:
    """The reason phrase of *status*."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return _PHRASES.get(status, b"Unknown")
