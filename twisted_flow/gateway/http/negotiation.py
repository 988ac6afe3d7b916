"""What a request's header fields ask for, beyond a plain one."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import cast

from twisted.web.http import Request

from ...codec.codecs import CODECS, codec_of
from ...entry import PartsForm
from ...errors import BadRequest, NotAcceptable, UnsupportedMediaType, ValidationError
from ...interfaces import ICodec
from ...limits import SHORTEST_TIMEOUT
from ...message import Arrays
from .event_streams import FORMS

__all__ = ["arrays_of", "codec_for", "parts_of", "timeout_of"]

_READ = [media_type for row in CODECS for media_type in row.media_types]
_WRITTEN = "application/json"
_ANY = ("*/*", "application/*", _WRITTEN, *FORMS)


def _media_type(value: str) -> tuple[str, dict[str, str]]:
    """``text/html; q=0.5`` as ``('text/html', {'q': '0.5'})``."""
    name, *rest = (part.strip() for part in value.split(";"))
    parameters = dict(part.partition("=")[::2] for part in rest)
    return name.lower(), {key.strip().lower(): text.strip().strip('"') for key, text in parameters.items()}


def codec_for(request: Request) -> ICodec:
    """What reads *request*, by its Content-Type; its Accept is held against what is written here.

    :raises UnsupportedMediaType: if its body is not JSON, or lines of it, in UTF-8 (curl's default type passes for it).
    :raises NotAcceptable: if it does not take JSON.
    """
    given, name = request.getHeader(b"content-type"), _WRITTEN
    if given is not None:
        name, parameters = _media_type(given.decode("latin-1"))
        if name not in _READ or parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
            said = given.decode("latin-1")
            raise UnsupportedMediaType(f"the body must be application/json or application/jsonl in UTF-8, not {said}")
    encodings = b",".join(request.requestHeaders.getRawHeaders(b"content-encoding", [])).lower().split(b",")
    if any(each.strip() not in (b"", b"identity") for each in encodings):
        raise UnsupportedMediaType("a request body with Content-Encoding is not supported")
    accepted = _accepted(request)
    if accepted and not any(_quality(each, _ANY) > 0 for each in accepted):
        raise NotAcceptable(f"answers are {_WRITTEN}, which Accept does not include")
    return codec_of(media_type=name).codec


def parts_of(request: Request) -> PartsForm | None:
    """The form of parts that Accept of *request* prefers to an answer that is whole; None: it does not."""
    accepted = _accepted(request)
    whole = max((_quality(each, (_WRITTEN,)) for each in accepted), default=0.0)
    best, form = 0.0, None
    for each in accepted:
        for name, known in FORMS.items():
            quality = _quality(each, (name,))
            if quality > best and quality >= whole:
                best, form = quality, known
    return form


def _accepted(request: Request) -> list[str]:
    """The media ranges of Accept; none where it says nothing."""
    said = b",".join(request.requestHeaders.getRawHeaders(b"accept", [])).decode("latin-1")
    return said.split(",") if said.strip() else []


def _quality(media_range: str, names: Collection[str]) -> float:
    """How much *media_range* is wanted, if it is one of *names*."""
    name, parameters = _media_type(media_range)
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        quality = 0.0
    return quality if name in names else 0.0


def timeout_of(request: Request) -> float | None:
    """The seconds that ``X-Request-Timeout`` gives.

    :raises BadRequest: if that is no such number, or fewer than can be kept.
    """
    given = request.getHeader(b"x-request-timeout")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not SHORTEST_TIMEOUT <= seconds < math.inf:
        raise BadRequest(f"X-Request-Timeout is a number of seconds, {SHORTEST_TIMEOUT:g} or more")
    return seconds


def arrays_of(request: Request) -> Arrays | None:
    """What ``?arrays=`` asks for.

    :raises ValidationError: if that is neither 'dense' nor 'list'.
    """
    given = request.args.get(b"arrays", [None])[-1]
    if given is None:
        return None
    if given not in (b"dense", b"list"):
        raise ValidationError.at("/arrays", "?arrays= is 'dense' or 'list'")
    return cast(Arrays, given.decode())
