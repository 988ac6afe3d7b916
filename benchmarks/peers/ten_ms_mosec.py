"""The model of `ten_ms` in mosec, as its docs show batching."""

# mypy: ignore-errors
from __future__ import annotations

import time

from mosec import Runtime, Server, Worker


class TenMilliseconds(Worker):
    """Requests are gathered by mosec; each has one document."""

    def forward(self, batch):
        """Wait once for all."""
        assert len(batch) <= 64
        time.sleep(0.01)
        for data in batch:
            for doc in data["data"]:
                doc["tags"] = {"seen": True}
        return [{"data": {"docs": data["data"]}} for data in batch]


if __name__ == "__main__":
    server = Server()
    server.register_runtime({"/post": [Runtime(TenMilliseconds, num=1, max_batch_size=64, max_wait_time=10)]})
    server.run()
