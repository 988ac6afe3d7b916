"""The types that a method may ask its ``parameters`` to be of, and how parameters become objects of them.

A msgspec Struct, a dataclass, a TypedDict, an attrs class, or a pydantic model, where pydantic is installed: that is
known by what it offers, and never imported here.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ..document.spelling import located
from ..document.values import escaped
from ..errors import ConfigurationError, ValidationError

__all__ = ["converter", "is_model", "type_of_parameters"]


def type_of_parameters(method: Callable[..., object], title: str) -> object:
    """The type with fields that *method*, called *title*, annotates ``parameters`` with; None: they are any dict.

    :raises ConfigurationError: if that is neither a type with fields nor a mapping.
    """
    try:
        annotation = typing.get_type_hints(method, include_extras=True).get("parameters")
    except Exception:  # names that are only there for a type checker
        return None
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    kinds = [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):  # ``Asked | None``: a request always has some
        kinds = [each for each in typing.get_args(annotation) if each is not type(None)]
    with_fields = [each for each in kinds if _has_fields(each)]
    if with_fields and len(kinds) == 1:
        return with_fields[0]
    if not with_fields and all(map(_is_mapping, kinds)):
        return None
    raise ConfigurationError(
        f"{title}: parameters are a dict, or a msgspec Struct, dataclass, TypedDict, attrs class or pydantic model, "
        f"not {getattr(annotation, '__name__', annotation)}"
    )


def _has_fields(kind: object) -> bool:
    if not isinstance(kind, type):
        return False
    return (
        issubclass(kind, Struct)
        or dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
        or hasattr(kind, "__attrs_attrs__")
        or is_model(kind)
    )


def _is_mapping(kind: object) -> bool:
    if kind in (None, type(None)) or kind is Any or kind is object or isinstance(kind, typing.TypeVar):
        return True
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and (issubclass(origin, dict) or issubclass(dict, origin))


def is_model(kind: object) -> bool:
    """Whether *kind* is a pydantic model."""
    return callable(getattr(kind, "model_validate", None)) and callable(getattr(kind, "model_json_schema", None))


def converter(kind: object) -> Callable[[Mapping[str, object]], object]:
    """What makes an object of *kind* of parameters.

    It raises `ValidationError`, which names the first invalid field.
    """
    return _by_pydantic(kind) if is_model(kind) else _by_msgspec(kind)


def _by_msgspec(kind: object) -> Callable[[Mapping[str, object]], object]:
    def convert(parameters: Mapping[str, object]) -> object:
        try:
            return msgspec.convert(parameters, kind)
        except msgspec.ValidationError as error:
            raise located(error, parameters).below("/parameters") from None

    return convert


def _by_pydantic(kind: Any) -> Callable[[Mapping[str, object]], object]:
    def convert(parameters: Mapping[str, object]) -> object:
        try:
            return kind.model_validate(parameters)
        except ValueError as error:  # pydantic's ValidationError is one
            errors = getattr(error, "errors", None)
            if errors is None:
                raise
            first = errors()[0]
            pointer = "".join(f"/{escaped(str(step))}" for step in first["loc"])
            raise ValidationError.at(f"/parameters{pointer}", str(first["msg"])) from None

    return convert
