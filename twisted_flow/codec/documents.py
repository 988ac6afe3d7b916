"""Documents as JSON, each by itself."""

from __future__ import annotations

from ..document import DocumentArray, plain
from ..document.listed import expanded_size, with_lists
from ..document.outgoing import settled
from ..errors import PayloadTooLarge
from ..limits import Limits
from ..message import Arrays

__all__ = ["encode_documents"]


def encode_documents(docs: DocumentArray, arrays: Arrays, limits: Limits) -> list[bytes]:
    """Write each of *docs*; raises as `ICodec.encode_response` does."""
    settled(docs)
    if arrays == "list":
        if expanded_size(docs) > limits.max_expanded:
            raise PayloadTooLarge(f"as lists the arrays are more than {limits.max_expanded} numbers and lists")
        return [plain.to_json(each) for each in with_lists(docs)]
    return [plain.to_json(each) for each in docs]
