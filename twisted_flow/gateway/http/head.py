"""The head of an HTTP request: whether it may be one at all (RFC 9110, 9112), and what it says.

Both ways through the gateway, the lane and twisted.web, ask this one judge, before a byte is handed on.
"""

from __future__ import annotations

import re

import httptools

from ...errors import BadRequest, FlowError, PayloadTooLarge
from ...limits import Limits

__all__ = ["Head", "Refused", "read_head", "unfinished"]

_TARGET = re.compile(rb"[!-~]+")
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]*$")
_ONE_AT_MOST = (b"content-type", b"origin", b"sec-fetch-site", b"x-request-timeout", b"authorization")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_FOLDED = re.compile(rb"\r\n[ \t]")
_DIGITS = re.compile(rb"[0-9]{1,19}")


class Refused(Exception):
    """A request that cannot go on; after the answer the connection ends.

    :param error: what the answer tells.
    :param status: HTTP's own word for it, where that is finer than the error's.
    """

    def __init__(self, error: FlowError, status: int | None = None) -> None:
        super().__init__(error.detail)
        self.error = error
        error.http_status = status or error.http_status


class Head:
    """What a head says."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        """The header fields in their order, names in lower case."""
        self.target = b""
        self.method = b""
        self.version = ""

    def on_url(self, target: bytes) -> None:
        """Called by the parser."""
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.fields.append((name.lower(), value.strip(b" \t")))

    def values(self, name: bytes) -> list[bytes]:
        """All values of the field called *name* (in lower case)."""
        return [value for field, value in self.fields if field == name]


def read_head(raw: bytes, limits: Limits, hosts: tuple[str, ...] = ()) -> Head:
    """What *raw* says, which ends with its empty line.

    :param hosts: the names that the server may be asked by; none: any.
    :raises Refused: if it must not be taken for a request.
    """
    unfinished(raw, limits)
    if _FOLDED.search(raw):
        raise Refused(BadRequest("a header field is folded over several lines"))
    line = raw[: raw.find(b"\r\n")]
    parts = line.split(b" ")
    if len(parts) != 3:
        raise Refused(BadRequest("a request line is METHOD TARGET VERSION, with a space between"))
    if re.fullmatch(rb"HTTP/([02-9]\.[0-9]|1\.[2-9])", parts[2]):
        raise Refused(BadRequest("only HTTP/1.1 and HTTP/1.0 are supported"), 505)
    head = Head()
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserInvalidMethodError:
        raise Refused(BadRequest("unknown method"), 501) from None
    except httptools.HttpParserError as error:
        raise Refused(BadRequest(f"not an HTTP request: {error}")) from None
    head.method, head.version = parser.get_method(), parser.get_http_version()
    if not head.target or not _TARGET.fullmatch(head.target) or head.version not in ("1.0", "1.1"):
        raise Refused(BadRequest("not an HTTP request"))
    if len(head.fields) > limits.max_headers:
        raise Refused(PayloadTooLarge(f"more than {limits.max_headers} header fields"), 431)
    _check_target(head)
    _check_host(head, hosts)
    _check_length(head)
    for name in _ONE_AT_MOST:
        if len(head.values(name)) > 1:
            raise Refused(BadRequest(f"more than one {name.decode()} field"))
    return head


def unfinished(raw: bytes | bytearray, limits: Limits, start: int = 0) -> None:
    """Check the part of a head that has come in.

    :param start: what lies before was held already.
    :raises Refused: if it cannot become one.
    """
    end = raw.find(b"\r\n")
    if (len(raw) if end < 0 else end) > limits.max_request_line:
        raise Refused(PayloadTooLarge(f"a request line of more than {limits.max_request_line} bytes"), 414)
    if end >= 0 and len(raw) - end > limits.max_headers_size:
        raise Refused(PayloadTooLarge(f"header fields of more than {limits.max_headers_size} bytes"), 431)
    bare = _BARE.search(raw, max(start - 1, 0))
    if bare is not None and bare.end() < len(raw) + (bare[0] == b"\n"):  # a last CR may have its LF still to come
        raise Refused(BadRequest("a line does not end with CR LF"))


def _check_target(head: Head) -> None:
    """RFC 9112 section 3.2."""
    if head.method == b"CONNECT":
        raise Refused(BadRequest("this server is not a proxy"), 501)
    target = head.target
    if not (target.startswith(b"/") or _ABSOLUTE.match(target) or (target == b"*" and head.method == b"OPTIONS")):
        raise Refused(BadRequest("the request target is not a path"))


def _check_host(head: Head, allowed: tuple[str, ...]) -> None:
    hosts = head.values(b"host")
    if len(hosts) > 1 or (not hosts and head.version == "1.1"):
        raise Refused(BadRequest("exactly one Host field is needed"))
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise Refused(BadRequest("the Host field is not a host name"))
    absolute = _ABSOLUTE.match(head.target)
    for host in (*hosts, *((absolute[1],) if absolute else ())) if allowed else ():
        name = host.decode("latin-1").lower()
        if name not in allowed and _PORT.sub("", name) not in allowed:
            raise Refused(BadRequest("this host name is not served here"), 421)


def _check_length(head: Head) -> None:
    lengths, codings = head.values(b"content-length"), head.values(b"transfer-encoding")
    if len(lengths) > 1 or (lengths and not _DIGITS.fullmatch(lengths[0])):
        raise Refused(BadRequest("Content-Length must be exactly one number"))
    if codings and (lengths or head.version == "1.0"):
        raise Refused(BadRequest("Transfer-Encoding together with Content-Length, or in HTTP/1.0"))
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise Refused(BadRequest("the only transfer coding supported is chunked"), 501)
    if any(value.lower() != b"100-continue" for value in head.values(b"expect")):
        raise Refused(BadRequest("the only expectation supported is 100-continue"), 417)
