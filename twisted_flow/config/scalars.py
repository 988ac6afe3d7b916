"""What a plain scalar in YAML means: the core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3).

PyYAML knows that of YAML 1.1, where ``no`` is False, ``010`` eight, ``12:30:00`` a number and ``1e-3`` a text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["PLAIN", "Dumper", "Loader", "scalar"]

PLAIN = "twisted_flow:plain"
"""The tag of what stands there without quotes and without a tag: it is what it looks like."""

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE, _FALSE = re.compile(r"true|True|TRUE"), re.compile(r"false|False|FALSE")
_INT, _OCTAL, _HEX = re.compile(r"[-+]?[0-9]+"), re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"


class Loader(yaml.SafeLoader):
    """Reads the structure; what scalars mean is for `scalar`."""

    def resolve(self, kind: object, value: object, implicit: Any) -> str:  # called where there is no tag
        base: Any = super()
        return PLAIN if kind is yaml.ScalarNode and implicit[0] else str(base.resolve(kind, value, (False, True)))


class Dumper(yaml.SafeDumper):
    """Writes what either version of YAML reads as what it is: a text that looks like something else is quoted."""

    def resolve(self, kind: object, value: Any, implicit: Any) -> str:  # what a plain scalar would be taken for
        base: Any = super()
        tag = str(base.resolve(kind, value, implicit))
        text = kind is yaml.ScalarNode and implicit[0] and tag == _TAG + "str"
        return PLAIN if text and not isinstance(_meant(value), str) else tag


def scalar(text: str, tag: str) -> object:
    """The value of the scalar *text* under *tag*.

    :raises ValueError: if it is not what its tag says.
    :raises LookupError: if there is no such tag.
    """
    if tag == _TAG + "str":
        return text
    meant = _meant(text)
    if tag == PLAIN:
        return meant
    kinds = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
    if not isinstance(meant, kinds[tag.removeprefix(_TAG)]):  # type: ignore[arg-type]
        raise ValueError
    return float(meant) if tag == _TAG + "float" else meant


def _meant(text: str) -> Any:
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
