"""The access log: a line for each request, as text or as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from time import gmtime, strftime, time
from typing import Any, BinaryIO, Protocol

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from ..errors import ConfigurationError
from .printable import printable

__all__ = ["FORMATS", "AccessLog"]

log = Logger()

FORMATS = ("text", "json")
_SOON = 0.1  # seconds until what was told is written, at most
_SPACES = 4  # between the words that callers choose
_MOST_KEPT = 1 << 22  # bytes of what a pipe does not take
_MANY = 1000  # lines that are written at once, at most
_encode = msgspec.json.Encoder().encode


class _Caller(Protocol):
    peer: str
    principal: str | None


class _Line(Struct, frozen=True, gc=False):
    time: datetime
    protocol: str
    peer: str
    principal: str | None
    endpoint: str
    request_id: str
    trace_id: str
    documents: int
    status: str
    """'ok', or the name of the error."""
    milliseconds: float | None
    bytes: int


class AccessLog:
    """See the module. Lines are written together, within a tenth of a second.

    :param path: of the file, which is appended to; '-' is standard output.
    :param form: of `FORMATS`.
    :param later: has a function called so many seconds later.
    :raises ConfigurationError: one line, where there is no such file, or form.
    """

    def __init__(self, path: str, form: str, later: Callable[[float, Callable[[], object]], object]) -> None:
        if form not in FORMATS:
            raise ConfigurationError(f"access_log_format={form!r}: it is {' or '.join(FORMATS)}")
        self.path, self._later = path, later
        self._written = _as_json if form == "json" else _as_text
        self._lines: list[bytes] = []
        self._rest = b""  # what could not be written yet
        self._file = self._opened()

    def _opened(self) -> BinaryIO:
        try:
            if self.path == "-":  # not what `print` writes to: twistd has that in its log
                return os.fdopen(os.dup(1), "ab", buffering=0)
            return open(self.path, "ab", buffering=0)
        except OSError as error:
            raise ConfigurationError(f"access_log={self.path!r}: {error.strerror or error}") from None

    def write(
        self,
        protocol: str,
        caller: _Caller | None,
        endpoint: str,
        request_id: str,
        traceparent: str,
        documents: int,
        status: str,
        seconds: float | None,
        size: int,
    ) -> None:
        """A request has been answered, or refused.

        :param status: 'ok', or the name of the error.
        """
        principal = None if caller is None else caller.principal
        peer, trace_id = "" if caller is None else caller.peer, traceparent[3:35]
        took = None if seconds is None else round(seconds * 1000, 3)
        try:
            line = self._written(
                protocol, peer, principal, endpoint, request_id, trace_id, documents, status, took, size
            )
        except ValueError:  # a lone surrogate
            return
        self._lines.append(line)
        if len(self._lines) == 1:
            self._later(_SOON, self.flush)
        elif len(self._lines) >= _MANY:
            self.flush()

    def flush(self) -> None:
        """Write what was told; what a pipe that nobody reads does not take is kept, as far as that is little."""
        lines, self._lines = self._lines, []
        if lines:
            self._rest += b"\n".join([*lines, b""])
        try:
            while self._rest:
                written = self._file.write(self._rest)
                if not written:
                    break
                self._rest = self._rest[written:]
        except OSError as error:
            self._rest = b""
            log.error("access log: lines are lost: {error}", error=error)
        if len(self._rest) > _MOST_KEPT:
            self._rest = b""
            log.error("access log: lines are lost: nobody reads {path}", path=self.path)
        elif self._rest:
            self._later(_SOON, self.flush)

    def reopen(self) -> None:
        """Write to the file that has its name now: another program may have given the old one another."""
        self.flush()
        try:
            file = self._opened()
        except ConfigurationError as error:
            log.error("{error}: the access log stays in the old file", error=error)
            return
        self._file.close()
        self._file = file


def _as_json(*said: Any) -> bytes:
    return _encode(_Line(datetime.now(UTC), *said))


def _as_text(
    protocol: str,
    peer: str,
    principal: str | None,
    endpoint: str,
    request_id: str,
    trace_id: str,
    documents: int,
    status: str,
    took: float | None,
    size: int,
) -> bytes:
    """Eleven words; a "-" stands for what there is not, and what is no part of a word is escaped."""
    now = time()
    second = int(now)
    if second != _Second.number:
        _Second.number, _Second.text = second, strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
    told = f"{peer or '-'} {principal or '-'} {endpoint or '-'} {request_id or '-'} {trace_id or '-'}"
    if not told.isprintable() or told.count(" ") != _SPACES:
        words = [peer or "-", principal or "-", endpoint or "-", request_id or "-", trace_id or "-"]
        told = " ".join([printable(each).replace(" ", "\\x20") for each in words])
    stamp = f"{_Second.text}.{int((now - second) * 1000):03d}Z"
    line = f"{stamp} {protocol} {told} {documents} {status} {'-' if took is None else took} {size}"
    return line.encode("utf-8", "backslashreplace")


class _Second:
    """The second that is now, as text: written once for all of its lines."""

    number, text = 0, ""
