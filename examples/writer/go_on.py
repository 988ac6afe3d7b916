"""Has the writer go on with a text: ``python examples/writer/go_on.py grpc://localhost:12345 'The class is'``."""

from __future__ import annotations

import sys

from twisted_flow import Client

address, text, seed = [*sys.argv[1:], "", "", ""][:3]
with Client(host=address or "http://localhost:12345") as client:
    wish = {"words": 30, "temperature": 0.8, "seed": int(seed or 1)}
    for document in client.stream("/write", text or None, parameters=wish):
        print(document.text, end="", flush=True)
    print()
