"""A model that takes 10 ms a call, whatever the number of documents up to 64."""

from __future__ import annotations

import time

from twisted_flow import DocumentArray, Executor, dynamic_batching, requests

SECONDS, SIZE = 0.01, 64


class TenMilliseconds(Executor):
    """Waits as a GPU lets wait: without the interpreter's lock."""

    @requests
    @dynamic_batching(preferred_batch_size=SIZE, timeout=10)
    def predict(self, docs: DocumentArray) -> None:
        """Wait, for each 64 documents."""
        assert len(docs) <= SIZE
        time.sleep(SECONDS)
        for document in docs:
            document.tags["seen"] = True
