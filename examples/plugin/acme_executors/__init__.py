"""Executors of the Acme company."""

from typing import Any

from twisted_flow import DocumentArray, Executor, requests

__all__ = ["Reverse"]


class Reverse(Executor):
    """Turns texts around."""

    @requests
    async def reverse(self, docs: DocumentArray, **kwargs: Any) -> None:
        """Turn each text around."""
        for document in docs:
            document.text = document.text[::-1]
