"""Bounds for messages that come in several frames."""

from __future__ import annotations

from ..buffered import Account, Buffered

__all__ = ["Fragments"]

_TOO_BIG, _TRY_AGAIN_LATER = 1009, 1013  # close codes (RFC 6455 section 7.4.1, and IANA's registry)
_LEAST, _BYTES = 1024, 64  # fragments that any message may have; bytes of a body for which it may have one more


class Fragments:
    """Counts the fragments of one connection's messages: their number is bounded too, as an empty one takes memory.

    :param most: bytes of a message.
    :param buffered: counts what all connections keep.
    """

    def __init__(self, most: int, buffered: Buffered) -> None:
        self.most, self.account = most, Account(buffered)
        self.number = self.size = 0

    def refusal(self, first: int, size: int) -> tuple[int, str] | None:
        """Why the next one may not come, as a close code and a reason; None: it may.

        :param first: the first byte of the frame.
        :param size: of the frame, with its head.
        """
        if first & 15:  # no continuation
            self.number = self.size = 0
        self.number += 1
        self.size += size
        if self.number > max(_LEAST, self.most // _BYTES):
            return _TOO_BIG, "a message of too many fragments"
        if self.size <= self.most and not self.account.keep(self.size):  # what is larger is refused by the library
            return _TRY_AGAIN_LATER, self.account.total.refusal().detail
        return None
