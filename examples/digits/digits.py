"""Handwritten digits: PNG images in, digits out.

The model is trained when the executor is made, on scikit-learn's bundled scans of 8 by 8 pixels. The last fifth of them
is kept back. ``pip install scikit-learn pillow``; see flow.yml.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from twisted_flow import DocumentArray, Executor, Reject, dynamic_batching, requests

SIDE, DARKEST = 8, 16.0  # pixels, and shades of grey, of the scans


def scans(seen: bool) -> tuple[Any, Any]:
    """Images, of shape (n, 8, 8) with 0 to 16 in it, and their digits: those of the training, or those kept back."""
    bundled = load_digits()
    cut = len(bundled.images) * 4 // 5
    part = slice(0, cut) if seen else slice(cut, None)
    return bundled.images[part], bundled.target[part]


class Digits(Executor):
    """Tells which digit an image shows.

    :param gamma: of the classifier's kernel; the smaller, the smoother are its borders.
    """

    def __init__(self, gamma: float = 0.001, **more: Any) -> None:
        super().__init__(**more)
        images, digits = scans(seen=True)
        self.model = SVC(gamma=gamma).fit(images.reshape(len(images), -1), digits)

    def warm_up(self) -> None:
        """Predict once: the first time takes longest."""
        self.model.predict(np.zeros((1, SIDE * SIDE)))

    @requests(on="/classify", idempotent=True)  # so that an image that is none fails alone
    @dynamic_batching(preferred_batch_size=64, timeout=0)
    def classify(self, docs: DocumentArray) -> None:
        """Write into each document's tags which digit the image in its buffer shows."""
        if not docs:
            return
        digits = self.model.predict(np.stack([pixels(document.buffer) for document in docs]))
        for document, digit in zip(docs, digits, strict=True):
            document.tags["digit"] = int(digit)
            document.pop("buffer")  # the caller has it


def pixels(image: bytes) -> Any:
    """The 64 shades of *image*, dark on light or of any size."""
    try:
        grey = Image.open(io.BytesIO(image)).convert("L").resize((SIDE, SIDE))
    except (OSError, ValueError) as error:
        raise Reject("ValidationError", f"the buffer is no image: {error}") from error
    return (255 - np.asarray(grey, float)).ravel() * DARKEST / 255


def png(scan: Any) -> bytes:
    """A scan as a PNG image."""
    file = io.BytesIO()
    Image.fromarray((255 - scan * 255 / DARKEST).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
