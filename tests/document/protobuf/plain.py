"""Plain documents at random, and all that one says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.documents import TAGS, TEXT, arrays
from twisted_flow import Document

PLAIN = st.recursive(
    st.builds(
        Document,
        st.none() | TEXT | st.binary(max_size=3) | arrays(),
        id=TEXT.filter(bool),
        tags=st.just({}) | TAGS,
        embedding=st.none() | arrays(),
        granularity=st.sampled_from([0, 1, 300, 2**32 - 1]),
        parent_id=st.just("") | TEXT,
    ),
    lambda inner: st.builds(Document, st.none() | TEXT, chunks=st.lists(inner, max_size=2)),
    max_leaves=3,
)
"""Documents that are read by hand."""


def told(document: Document | None) -> Any:
    """All of *document*, also what is no rule of documents, such as an id that is missing."""
    if document is None:
        return None
    array = document._embedding
    return (
        json.dumps(document.to_dict(), sort_keys=True, default=repr),
        None if array is None else (repr(array.dense), repr(array.sparse)),  # type: ignore[union-attr]
    )
