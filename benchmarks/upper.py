"""What the benchmarks serve."""

from __future__ import annotations

from typing import Any

from twisted_flow import DocumentArray, Executor, requests


class Upper(Executor):
    """Capital letters."""

    @requests
    async def upper(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Make capitals of all texts."""
        for document in docs:
            if document.content_type == "text":
                document.text = document.text.upper()
