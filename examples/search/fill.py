"""Put the Python language reference into a running search: ``python fill.py [PORT]``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any

from twisted_flow import Client


def passages() -> Iterator[dict[str, Any]]:
    """The reference in passages of some paragraphs, each with its topic as title."""
    for topic, text in sorted(topics.items()):
        heading = text.strip().partition("\n")[0].strip("* ")
        part: list[str] = []
        number = 0
        for paragraph in re.split(r"\n\s*\n", text.strip()):
            part.append(paragraph)
            if sum(map(len, part)) > 700:
                yield {"id": f"{topic}-{number}", "text": "\n\n".join(part), "tags": {"topic": topic, "title": heading}}
                part, number = [], number + 1
        if part:
            yield {"id": f"{topic}-{number}", "text": "\n\n".join(part), "tags": {"topic": topic, "title": heading}}


def main() -> None:
    """Fill the search, and say how to ask it."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345
    client = Client(protocol="http", port=port)
    documents = list(passages())
    client.index(documents)
    client.close()
    print(f"{len(documents)} passages of the Python language reference are in. Try:\n")
    print(f"  curl http://localhost:{port}/search -H 'Content-Type: application/json' \\")
    print("""    -d '{"data": ["how do I catch an exception"], "parameters": {"top_k": 3}}'\n""")
    print("  .venv/bin/python -c 'from twisted_flow import Client")
    print(f'for response in Client(protocol="grpc", port={port}).search("what is a lambda", return_results=True):')
    print("    print(response.docs[0].matches[0].text)'\n")
    print(f"  in a browser: http://localhost:{port}/docs, or on its console:")
    print(f'    s = new WebSocket("ws://localhost:{port}/"); s.onmessage = m => console.log(JSON.parse(m.data));')
    print("""    s.onopen = () => s.send('{"data": ["with statement"], "execEndpoint": "/search"}')\n""")
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    main()
