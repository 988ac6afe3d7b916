"""A request in any of the spellings that clients use, as JSON's one spelling. (Its documents: `document.spelling`.)"""

from __future__ import annotations

from ..document import Document, spelling
from ..limits import LONGEST_NAME
from .bodies import PostBody

__all__ = ["OF_A_REQUEST", "canonical_list", "canonical_request", "id_in"]

OF_A_REQUEST = frozenset({*PostBody.__struct_encode_fields__, "header", "targetExecutor"})
"""What a request may say. No document has fields of these names."""

_OPTIONAL = OF_A_REQUEST - {"cancel"}
_KNOWN = Document.__struct_encode_fields__


def id_in(raw: object) -> str:
    """The id of a request that is wrong otherwise, if it has one."""
    found = (raw.get("requestId") or raw.get("request_id")) if isinstance(raw, dict) else None
    return found if isinstance(found, str) and len(found) <= LONGEST_NAME else ""


def _may_be_null(key: str) -> bool:
    """Whether null at *key* is as if it were not there."""
    return spelling.camel(key) in _OPTIONAL


def canonical_request(raw: object) -> object:
    """The request that *raw* describes, in the one spelling."""
    if not isinstance(raw, dict):
        return raw
    post = {spelling.camel(key): value for key, value in raw.items() if value is not None or not _may_be_null(key)}
    if isinstance(header := post.pop("header", None), dict):  # as the old Python client sends it
        for name in ("execEndpoint", "targetPeapod"):
            if name in (canonical := spelling.canonical_keys(header)):
                post.setdefault(name, canonical[name])
    if "targetExecutor" in post:
        post.setdefault("targetPeapod", post.pop("targetExecutor"))
    data = post.get("data")
    if isinstance(data, dict) and data.keys() & {"docs", "groundtruths"}:
        post["data"] = {name: canonical_list(items) for name, items in data.items() if items is not None}
    elif data is not None:
        post["data"] = canonical_list(data)
    return post


def canonical_list(items: object) -> object:
    """The documents that *items* are, or that are one, in the one spelling."""
    return [spelling.canonical_document(item, _KNOWN) for item in (items if isinstance(items, list) else [items])]
