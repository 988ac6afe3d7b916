"""Put the Python language reference into a running search: ``python fill.py [PORT]``."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any


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


def post(port: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to *body*."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def main() -> None:
    """Fill the search, and say how to ask it."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 12345
    documents = list(passages())
    for start in range(0, len(documents), 100):
        post(port, "/index", {"data": documents[start : start + 100]})
    print(f"{len(documents)} passages of the Python language reference are in. Try:\n")
    print(f"  curl http://localhost:{port}/search -H 'Content-Type: application/json' \\")
    print("""    -d '{"data": ["how do I catch an exception"], "parameters": {"top_k": 3}}'\n""")
    print("  python -c 'import json, urllib.request as u; print(json.load(u.urlopen(u.Request(")
    print(f'    "http://localhost:{port}/search", b"{{\\"data\\": [\\"what is a closure\\"]}}",')
    print('    {"Content-Type": "application/json"})))["data"]["docs"][0]["matches"][0]["text"])\'\n')
    print(f"  in a browser: http://localhost:{port}/docs\n")
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    main()
