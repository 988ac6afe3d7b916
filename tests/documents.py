"""Strategies: documents of every kind, for hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from twisted_flow import Document
from twisted_flow.document import Graph, NamedScore, SparseArray

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBER = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False).map(
    lambda x: int(x) if x.is_integer() and abs(x) <= 2**53 else x
)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TAGS = st.dictionaries(TEXT, PLAIN, max_size=3)
SMALL = st.integers(0, 2**32 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def arrays(draw: Any) -> Any:
    dtype = np.dtype(draw(st.sampled_from(["<f4", "<f8", ">f4", "<i8", "|u1", "|b1", "<f2"])))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    data = draw(st.binary(min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return np.frombuffer(data, "u1").astype(dtype).reshape(shape)


SPARSE = st.builds(
    lambda values: SparseArray(
        np.array([[n, n, n] for n in range(len(values))]).reshape(-1, 3), np.array(values), (4, 4, 4)
    ),
    st.lists(st.floats(1, 9), min_size=1, max_size=3),
)
SCORES = st.dictionaries(
    TEXT, st.builds(NamedScore, value=FLOAT32, op_name=TEXT, operands=st.lists(st.builds(NamedScore, FLOAT32), max_size=1)), max_size=2
)  # fmt: skip
CONTENT = st.one_of(
    st.none(), TEXT, st.binary(max_size=8), arrays(), st.builds(Graph, edge_features=TAGS, undirected=st.booleans())
)


def documents(depth: int = 2) -> st.SearchStrategy[Document]:
    inner = st.lists(documents(depth - 1), max_size=2) if depth else st.just([])
    return st.builds(
        Document,
        CONTENT,
        id=TEXT.filter(bool),
        tags=TAGS,
        embedding=st.none() | arrays() | SPARSE,
        chunks=inner,
        matches=inner,
        scores=SCORES,
        evaluations=SCORES,
        weight=FLOAT32,
        granularity=SMALL,
        adjacency=SMALL,
        offset=SMALL,
        location=st.lists(SMALL, max_size=2),
        parent_id=TEXT,
        modality=TEXT,
        mime_type=TEXT,
    )
