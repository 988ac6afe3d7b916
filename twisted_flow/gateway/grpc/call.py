"""What answers a call of the lane."""

from __future__ import annotations

from ...wire.http2.interfaces import IStreamListener

__all__ = ["ICall"]


class ICall(IStreamListener):
    """See the module. It sends its answer through a `Talk`."""

    def drain() -> object:
        """The server stops: end when what was asked is answered."""

    def sweep() -> object:
        """Called once a second, while anything of its connection's calls is kept: end what has waited too long."""

    def cut() -> object:
        """The grace is over: answer at once."""
