"""What is answered to what must not be taken for a request; after it the connection ends."""

from __future__ import annotations

import re
from typing import cast

from ...answer import Answer, Entry, refuse
from ...errors import FlowError
from ..admission import Admission
from .action import PlainHead
from .answer_bytes import answer_bytes
from .head import Refused
from .origin import Origins

__all__ = ["Refusals"]

_ORIGIN = re.compile(rb"\r\norigin:[ \t]*([!-~]+)[ \t]*\r?\n", re.IGNORECASE)


class Refusals:
    """Writes them.

    :param origins: whose pages may see the answers.
    :param entry: the gateway.
    """

    def __init__(self, origins: Origins, entry: Entry) -> None:
        self.origins, self.entry = origins, entry

    def answer(self, refused: Refused, head: bytes | bytearray) -> bytes:
        """The answer to what began with *head*, as far as that came: a page of an allowed origin may read it."""
        origin = _ORIGIN.search(head)
        fields = self.origins.answer_fields(None if origin is None else origin[1])
        told = refuse(refused.error, self.entry)
        return answer_bytes(refused.error.http_status, told, close=True, head=head.startswith(b"HEAD "), more=fields)

    def denied(self, admission: Admission, head: PlainHead) -> Answer:
        """The answer to who may not ask what begins with *head*."""
        return refuse(cast(FlowError, admission.error), self.entry, request_id=head.request_id)
