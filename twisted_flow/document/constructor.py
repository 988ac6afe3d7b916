"""The metaclass of `Document`: it adds a constructor, which decoding does not call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from ..suggestion import nearest
from . import forms
from .copies import copied_one
from .fields import CONTENTS
from .identity import new_id

__all__ = ["DocumentMeta", "settable"]

_CONTENT = {*CONTENTS, "content"}


@cache
def settable(cls: type[msgspec.Struct]) -> frozenset[str]:
    """The fields that the constructor takes."""
    return frozenset({name.lstrip("_") for name in cls.__struct_fields__} | {"content"})


class DocumentMeta(msgspec.StructMeta):
    """Gives `Document` its constructor."""

    if not TYPE_CHECKING:  # what a checker has to know is `Document.__init__`

        def __call__(cls, source=None, /, *, copy=False, **fields):
            if type(source) is str and not fields:  # as most are made
                return super().__call__(_id=new_id(), _text=source, _mime_type="text/plain")
            if isinstance(source, cls):
                document = copied_one(source) if copy else source.__copy__()
            else:
                document = super().__call__()
                if isinstance(source, dict):
                    fields = {**forms.fields_of(cls, source, settable(cls)), **fields}
                elif source is not None:
                    fields = {"content": source, **fields}
            contents, known = 0, settable(cls)
            for name, value in fields.items():
                if name not in known:
                    raise TypeError(f"a Document has no field {name!r}{nearest(name, known)}")
                if value is None or (name == "id" and value == ""):
                    continue
                contents += name in _CONTENT
                setattr(document, name, value)
            if not document._id:
                document._id = new_id()
            if contents > 1:
                raise ValueError(f"a Document has one content at most, not {' and '.join(_CONTENT & fields.keys())}")
            return document

        @property
        def __signature__(cls):
            """What ``inspect.signature`` and editors show."""
            from inspect import Parameter, Signature

            source = Parameter("source", Parameter.POSITIONAL_ONLY, default=None)
            names = ["copy", *(name.lstrip("_") for name in cls.__struct_fields__), "content"]
            return Signature([source, *(Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in names)])
