"""An exception on its way to another process: the same there, if it can be pickled, with the traceback as a text."""

from __future__ import annotations

import pickle
from contextlib import suppress

from ..telemetry.elsewhere import raised_elsewhere
from ..telemetry.tracebacks import told_elsewhere

__all__ = ["pickled", "unpickled"]


def pickled(raised: BaseException) -> bytes:
    """*raised* as bytes."""
    told, itself = told_elsewhere(raised), b""
    with suppress(Exception):
        itself = pickle.dumps(raised.with_traceback(None))
        pickle.loads(itself)  # some can be written and not read
    return pickle.dumps((told, itself))


def unpickled(body: bytes) -> BaseException:
    """The exception that *body* says, raised from one that has its traceback as a text."""
    told, itself = pickle.loads(body)
    elsewhere: BaseException = raised_elsewhere(*told)
    with suppress(Exception):
        raised: BaseException = pickle.loads(itself)
        raised.__cause__ = elsewhere
        return raised
    return elsewhere
