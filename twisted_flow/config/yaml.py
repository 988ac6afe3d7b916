"""YAML files with environment variables in them, and errors that say where.

``$NAME``, ``${NAME}`` and ``${{ ENV.NAME }}`` stand for the environment's values wherever a value may stand; what is
nothing but a variable, unquoted, is read as YAML would read its value. ``$$`` is a dollar.
"""

from __future__ import annotations

import io
import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import yaml

from ..errors import ConfigurationError
from ..suggestion import nearest
from .scalars import PLAIN, Dumper, Loader, scalar

__all__ = ["ConfigFile", "dump", "read"]

T = TypeVar("T")
Path = tuple[str | int, ...]

_MOST_VALUES = 100_000
_VARIABLE = re.compile(r"\$(?:\$|\{\{\s*ENV\.([A-Za-z_]\w*)\s*\}\}|\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)|(\{))")
_MESSAGE = re.compile(r"(?P<detail>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_NO_SUCH = re.compile(r"Invalid enum value '(.*)'")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


class ConfigFile:
    """What a file says, and where it says it.

    :param name: of the file, for errors.
    :param folder: that it lies in; what it names is looked for there.
    """

    def __init__(self, name: str, folder: pathlib.Path, text: str) -> None:
        self.name, self.folder = name, folder
        # Of the private use area: YAML takes it for a letter, where it would stumble over the braces.
        self._mark = next(letter for letter in map(chr, range(0xE000, 0xF8FF)) if letter not in text)
        self._variables: dict[str, str] = {}  # by what stands in for them, as long as they are: positions stay right
        self._positions: dict[Path, tuple[int, int]] = {}
        self._left = _MOST_VALUES
        try:
            root = yaml.compose(_VARIABLE.sub(self._stand_in, text), Loader)
            self.value: Any = None if root is None else self._value(root, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._error(None if mark is None else (mark.line, mark.column), str(error.problem)) from None
        except RecursionError:
            raise self._error(None, "it contains itself, or is nested too deep") from None
        except yaml.YAMLError as error:
            raise self._error(None, " ".join(str(error).split())) from None

    def error(self, path: Path, reason: str) -> ConfigurationError:
        """One line that says what is wrong at *path*: keys and positions, from the top."""
        while path and path not in self._positions:
            path = path[:-1]
        return self._error(self._positions.get(path), reason)

    def location(self, path: Path) -> str:
        """Where *path* stands: file, line and column."""
        line, column = self._positions[path]
        return f"{self.name}:{line + 1}:{column + 1}"

    def _error(self, location: tuple[int, int] | None, reason: str) -> ConfigurationError:
        where = self.name if location is None else f"{self.name}:{location[0] + 1}:{location[1] + 1}"
        return ConfigurationError(f"{where}: {reason}")

    def convert(self, kind: type[T], path: Path = ()) -> T:
        """What stands at *path*, as *kind* describes it.

        :raises ConfigurationError: one line, with the position, and the nearest key where one is unknown.
        """
        value = self.value
        for step in path:
            value = value[step]
        try:
            return msgspec.convert({} if value is None else value, kind)
        except msgspec.ValidationError as error:
            found = _MESSAGE.fullmatch(str(error))
            detail, steps = (found["detail"], found["path"] or "") if found else (str(error), "")
            here = (*path, *(name or int(position) for name, position in _STEP.findall(steps)))
            if unknown := _UNKNOWN.fullmatch(detail):
                raise self.unknown((*here, unknown[1]), _names_at(kind, here[len(path) :])) from None
            if wrong_name := _NO_SUCH.fullmatch(detail):
                detail += nearest(wrong_name[1], _names_at(kind, here[len(path) :]))
            key = steps.removeprefix("$").removeprefix(".")
            raise self.error(here, f"{key}: {detail}" if key else detail) from None

    def unknown(self, path: Path, known: Iterable[str]) -> ConfigurationError:
        """The error that the last of *path* is none of the *known* keys."""
        return self.error(path, f"there is no key {path[-1]!r}{nearest(str(path[-1]), list(known))}")

    def _stand_in(self, found: re.Match[str]) -> str:
        name = found[1] or found[2] or found[3] or found[4]
        stand_in = self._mark * (len(found[0]) - 1) + chr(0x100 + len(self._variables))
        self._variables[stand_in] = name or ""
        return stand_in

    def _value(self, node: yaml.Node, path: Path) -> object:
        self._left -= 1
        if not self._left:
            raise self._error(None, f"more than {_MOST_VALUES} values, those that aliases repeat among them")
        mark = node.start_mark
        self._positions.setdefault(path, (mark.line, mark.column))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, position)) for position, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        made: dict[str, object] = {}
        if node.tag.startswith("!") and node.tag != "!":  # !Flow is jtype: Flow
            made["jtype"] = node.tag[1:]
            self._positions[*path, "jtype"] = (node.start_mark.line, node.start_mark.column)
        merged: dict[str, object] = {}
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value == "<<" and key_node.style is None:
                merged = {**self._merged(value_node, path), **merged}
                continue
            key = self._scalar(key_node, path) if isinstance(key_node, yaml.ScalarNode) else ...
            here = (*path, key) if isinstance(key, str) else path
            if not isinstance(key, str) or key in made:
                mark = key_node.start_mark
                said = "that is a list or a mapping" if key is ... else repr(key)
                what = "is there twice" if isinstance(key, str) else "is no text: write it in quotes"
                raise self._error((mark.line, mark.column), f"the key {said} {what}")
            self._positions[here] = (key_node.start_mark.line, key_node.start_mark.column)
            made[key] = self._value(value_node, here)
        return {**merged, **made}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, object]:
        """What a merge key (``<<``) brings along: a mapping, or a list of such, of which the first ones win."""
        value = self._value(node, path)
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in mappings):
            raise self._error((node.start_mark.line, node.start_mark.column), "<< takes a mapping, or a list of them")
        return {key: item for mapping in reversed(mappings) for key, item in mapping.items()}

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        if self._mark in node.value:
            node.value, whole = self._expanded(node.value, path)
            if node.tag == PLAIN and not whole:
                node.tag = "tag:yaml.org,2002:str"
        try:
            return scalar(node.value, node.tag)
        except LookupError:
            raise self.error(path, f"could not determine a constructor for the tag {node.tag!r}") from None
        except ValueError:
            raise self.error(path, f"{node.value!r} is no {node.tag.rpartition(':')[2]}") from None

    def _expanded(self, text: str, path: Path) -> tuple[str, bool]:
        whole = bool(self._variables.get(text))
        for stand_in, name in self._variables.items():
            if stand_in not in text:
                continue
            if name == "{":
                raise self.error(path, "after a dollar stands {NAME} or {{ ENV.NAME }}; $$ is a dollar")
            value = "$" if not name else os.environ.get(name)
            if value is None:
                near = nearest(name, list(os.environ))
                raise self.error(path, f"there is no environment variable {name}{near}")
            text = text.replace(stand_in, value)
        return text, whole


def _names_at(kind: object, path: Path) -> list[str]:
    """The keys, or else the texts, that *kind*, a Struct, has at *path*."""
    info: object = msgspec.inspect.type_info(kind)
    for step in path:
        if isinstance(info, msgspec.inspect.StructType):
            info = next((field.type for field in info.fields if field.encode_name == step), None)
        else:
            info = getattr(info, "item_type", None)
    return [*getattr(info, "values", ()), *(field.encode_name for field in getattr(info, "fields", ()))]


def read(source: str | pathlib.Path | io.TextIOBase) -> ConfigFile:
    """The file called *source*, or open as that; a text of several lines is taken for what a file says.

    :raises ConfigurationError: one line, if there is no such file, or it is no YAML.
    """
    if isinstance(source, io.TextIOBase):
        source = source.read() + "\n"
    if isinstance(source, str) and "\n" in source:
        return ConfigFile("the text", pathlib.Path.cwd(), source)
    path = pathlib.Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigurationError(f"{path}: {reason}") from None
    return ConfigFile(str(source), path.absolute().parent, text)


def dump(value: object) -> str:
    """*value* as YAML, which `read` understands: dollars are doubled.

    :raises ConfigurationError: if there is something in it that cannot stand in a file.
    """
    try:
        return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=False).replace("$", "$$")
    except yaml.YAMLError as error:
        raise ConfigurationError(f"this cannot be saved: {error}") from None
