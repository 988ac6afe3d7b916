"""Where a class or a function can be found again: by another process, which imports it anew."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys
from types import ModuleType
from typing import Any

from msgspec import Struct

from ..errors import ConfigurationError

__all__ = ["Address", "address_of", "found_at", "not_while_imported"]

_importing: list[Address] = []
_MAIN = "__mp_main__"  # what multiprocessing calls the script of the parent


class Address(Struct, frozen=True):
    """Where a class or a function can be found again."""

    module: str
    name: str
    """Its qualified name in the module."""
    file: str = ""
    """Of the module, where it has one."""


def address_of(uses: Any) -> Address:
    """The address of *uses*, a class or a function.

    :raises ConfigurationError: if another process cannot find it.
    """
    name, module_name = getattr(uses, "__qualname__", ""), getattr(uses, "__module__", "")
    module = sys.modules.get(module_name)
    shown = f"{module_name}.{name}"
    if "<locals>" in name or "<lambda>" in name:
        raise ConfigurationError(
            f"{shown} is defined in a function, where its own process cannot find it: move it to the top of its module"
        )
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if module is None or found is not uses:
        raise ConfigurationError(f"its own process cannot find {shown} in its module: give it as FILE.py:Class")
    file = getattr(module, "__file__", None) or ""
    if module_name == "__main__" and not pathlib.Path(file).is_file():
        raise ConfigurationError(
            f"{name} is defined in a notebook or at a prompt, which its own process cannot import: put it into a file"
        )
    return Address(module_name, name, str(pathlib.Path(file).absolute()) if file else "")


def not_while_imported() -> None:
    """Refuse to start a flow while `found_at` imports the program's script: it would start processes without end.

    :raises RuntimeError: with the script's name.
    """
    if _importing and _importing[0].module == "__main__":
        script = _importing[0].file
        raise RuntimeError(f"{script} starts a flow while it is imported: guard that by if __name__ == '__main__'")


def found_at(address: Address) -> Any:
    """What stands at *address*, imported in this process.

    :raises Exception: whatever its module raises.
    """
    _importing.append(address)
    try:
        found: object = _module(address)
    finally:
        _importing.clear()
    for part in address.name.split("."):
        found = getattr(found, part)
    return found


def _module(address: Address) -> ModuleType:
    if address.module == "__main__":  # what is pickled by that name is found, as multiprocessing does it
        module = _from_file(_MAIN, address.file, "__main__")
        module.__spec__ = None  # as a script has it: processes of its own find it again by its file
        return module
    if address.module in sys.modules:
        return sys.modules[address.module]
    try:
        known = importlib.util.find_spec(address.module) is not None
    except (ImportError, ValueError):
        known = False
    if known or not address.file:
        return importlib.import_module(address.module)
    return _from_file(address.module, address.file)


def _from_file(name: str, file: str, *other_names: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    for each in (name, *other_names):
        sys.modules[each] = module
    spec.loader.exec_module(module)
    return module
