"""The model of `ten_ms` in LitServe, as its docs show batching: argv = port."""

# mypy: ignore-errors
from __future__ import annotations

import sys
import time

import litserve as ls


class TenMilliseconds(ls.LitAPI):
    """Requests are gathered by LitServe; each has one document."""

    def setup(self, device):
        """There is nothing to load."""

    def decode_request(self, request):
        """Take the documents out."""
        return request["data"]

    def predict(self, batch):
        """Wait once for all."""
        assert len(batch) <= 64
        time.sleep(0.01)
        for docs in batch:
            for doc in docs:
                doc["tags"] = {"seen": True}
        return batch

    def encode_response(self, docs):
        """Put them back."""
        return {"data": {"docs": docs}}


if __name__ == "__main__":
    api = TenMilliseconds(max_batch_size=64, batch_timeout=0.01, api_path="/post")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
