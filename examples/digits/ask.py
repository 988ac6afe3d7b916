"""Ask the flow of flow.yml about the scans that its model has not seen: ``python ask.py PORT [IMAGE...]``."""

from __future__ import annotations

import pathlib
import sys

from digits import png, scans  # the file beside this one

from twisted_flow import Client, Document


def main(port: int, *files: str) -> None:
    """Print what it takes each of *files* for; without files, how many of the scans it takes for the right digit."""
    if files:
        images, digits = [pathlib.Path(file).read_bytes() for file in files], [None] * len(files)
    else:
        unseen, digits = scans(seen=False)
        images = [png(scan) for scan in unseen]
    with Client(protocol="http", port=port) as client:
        asked = [Document(buffer=image, id=str(n)) for n, image in enumerate(images)]
        found: dict[int, int] = {}
        for response in client.post("/classify", asked, request_size=10, return_results=True):
            found |= {int(document.id): document.tags["digit"] for document in response.docs}
    if files:
        for number, file in enumerate(files):
            print(f"{file}: {found[number]}")
    else:
        right = sum(found[number] == digit for number, digit in enumerate(digits))
        print(f"{right} of {len(images)} digits are right")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
