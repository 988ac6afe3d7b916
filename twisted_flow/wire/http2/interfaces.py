"""What a connection needs of those around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from .codes import ConnectionFault
    from .fields import Fields
    from .stream import Stream

__all__ = ["IHTTP2Owner", "IStreamListener"]


class IHTTP2Owner(Interface):
    """Has a connection, and its socket. It is called on one thread."""

    full = Attribute("``bool``: whether the peer reads more slowly than is written; then nothing of streams is sent.")

    def write(data: bytes) -> object:
        """Send *data*."""

    def hurry() -> object:
        """Have what was written leave now."""

    def later(function: Callable[[], object]) -> object:
        """Have *function* called in another turn of the loop."""

    def opened(stream: Stream, fields: Fields) -> IStreamListener:
        """The peer has opened *stream*, by *fields*. (A client's has none.)

        :return: who hears what comes on it. It may have answered already.
        :raises StreamFault: if there can be none.
        """

    def going_away(last: int, code: int) -> object:
        """The peer has sent GOAWAY: it answers no stream after *last*; those of ours have been told so."""

    def closed() -> object:
        """A stream has come to its end, whichever."""

    def failed(fault: ConnectionFault) -> object:
        """The peer has broken a rule, and has been told so: the socket is to be closed, once that is out."""


class IStreamListener(Interface):
    """Hears what comes on a stream. What it raises, but for `StreamFault`, is a fault of ours."""

    def headers(fields: Fields) -> object:
        """A response's fields have come, or trailers."""

    def data(data: bytes, at: int, end: int) -> object:
        """The bytes of *data* from *at* to *end* have come. Each of them is to be given back, by `Stream.credit`."""

    def ended() -> object:
        """The peer sends no more on this stream."""

    def lost(code: int) -> object:
        """The stream has ended, by an error of RFC 9113 section 7: nothing more can be sent or will come."""

    def roomy() -> object:
        """All that was sent on a stream that was `full` has left."""
