"""FastAPI's streams, as its own guide writes them: server-sent events, and a WebSocket. See `benchmarks/streams.py`."""
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

app = FastAPI()


async def words(parts: int, pause: float) -> AsyncIterator[dict[str, Any]]:
    """The same parts as ours: one ready at once, or one after each pause."""
    for number in range(parts):
        if pause:
            await asyncio.sleep(pause)
        yield {"id": f"{number:032x}", "text": f"word {number}", "mimeType": "text/plain"}


@app.post("/post")
async def events(asked: dict[str, Any]) -> StreamingResponse:
    """Server-sent events."""
    wanted = asked["parameters"]

    async def written() -> AsyncIterator[bytes]:
        async for word in words(wanted["parts"], wanted["pause"]):
            yield b"data: " + orjson.dumps(word) + b"\n\n"
        yield b"event: end\ndata: {}\n\n"

    return StreamingResponse(written(), media_type="text/event-stream")


@app.websocket("/")
async def websocket(socket: WebSocket) -> None:
    """A message for each part."""
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            wanted = orjson.loads(await socket.receive_text())["parameters"]
            async for word in words(wanted["parts"], wanted["pause"]):
                await socket.send_bytes(orjson.dumps(word))
            await socket.send_bytes(b'{"end":true}')
