"""Finding an executor by what the command line, or a file, calls it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from ..errors import ConfigurationError
from ..suggestion import nearest
from ..telemetry.printable import one_line

__all__ = ["absolute", "load", "plugins"]


def load(uses: str, py_modules: Sequence[str] = ()) -> object:
    """What *uses* names: ``file.py:Class``, ``package.module:Class``, a class of *py_modules*, an installed plugin,
    or a class of the script that runs.

    A function will do in place of a class. Modules beside a file can be imported by it; modules in the working
    directory by either.

    :raises ConfigurationError: one line, if there is no such thing or it cannot be imported.
    """
    modules = {name: _module(name, name) for name in py_modules}
    where, colon, name = uses.rpartition(":")
    if not colon:
        return _by_name(uses, modules)
    if not where or not name:
        raise ConfigurationError(f"{uses!r} is neither FILE.py:Class nor package.module:Class")
    found: object = _module(where, uses)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{where} has no {name!r}{nearest(part, vars(found))}")
        found = getattr(found, part)
    return found


def _by_name(name: str, modules: Mapping[str, ModuleType]) -> object:
    for module in modules.values():
        if name in vars(module):
            return getattr(module, name)
    installed = plugins()
    if name in installed:
        executor = installed[name].executor
        return load(executor) if isinstance(executor, str) else executor
    script = sys.modules.get("__main__")
    if isinstance(getattr(script, name, None), type):
        return getattr(script, name)
    known = [*installed, *(each for module in modules.values() for each in vars(module))]
    where = f"in {', '.join(modules)}, and none" if modules else "in a file (that is FILE.py:Class), nor one"
    raise ConfigurationError(f"there is no executor {name!r} {where} that is installed{nearest(name, known)}")


def plugins() -> dict[str, Any]:
    """The executors that installed packages bring along, by name: see `IExecutorPlugin`."""
    from twisted.plugin import getPlugins  # which loads Twisted, and looks through all of sys.path

    from ..interfaces import IExecutorPlugin

    return {plugin.name: plugin for plugin in getPlugins(IExecutorPlugin)}


def absolute(uses: str, folder: pathlib.Path) -> str:
    """*uses*, or a Python or YAML file, as it stands in a file in *folder*, wherever that is looked at from."""
    path, colon, name = uses.partition(":") if ".py:" in uses else (uses, "", "")
    return f"{folder / path}{colon}{name}" if path.endswith((".py", ".yml", ".yaml")) else uses


def _module(where: str, uses: str) -> ModuleType:
    return _from_file(pathlib.Path(where), uses) if where.endswith(".py") else _from_module(where, uses)


def _importable(folder: str) -> None:
    if folder not in sys.path:
        sys.path.append(folder)


def _from_module(name: str, uses: str) -> ModuleType:
    _importable(os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name and (name + ".").startswith(missing.name + "."):
            raise ConfigurationError(f"{uses}: there is no module {missing.name!r}") from None
        raise _failed(uses, missing) from missing
    except BaseException as error:
        raise _failed(uses, error) from error


def _from_file(path: pathlib.Path, uses: str) -> ModuleType:
    path = path.absolute()
    if not path.is_file():
        raise ConfigurationError(f"{uses}: there is no file {path}")
    for module in list(sys.modules.values()):  # the same file, named twice, is one module
        if getattr(module, "__file__", None) == str(path):
            return module
    name = _name_of(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{uses}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _failed(uses, error) from error
    return module


def _name_of(path: pathlib.Path) -> str:
    """A name for the module in *path* by which a process that this one starts can import it again: its own, or, where
    another module has that, one with its folder's before it.
    """
    folder = path.parent
    for location, name in ((folder, path.stem), (folder.parent, f"{folder.name}.{path.stem}")):
        if name.count(".") != (location is not folder) or name in sys.modules:
            continue
        _importable(str(location))
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            continue
        if found is not None and found.origin and pathlib.Path(found.origin) == path:
            _importable(str(folder))
            return name
    return f"twisted_flow_uses_{path.stem}"


def _failed(uses: str, error: BaseException) -> BaseException:
    """The one line that says where in the user's code importing *uses* failed; Ctrl-C stays what it is."""
    if isinstance(error, KeyboardInterrupt | ConfigurationError):
        return error
    location, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith("<frozen") and code.co_filename != __file__:
            location = f" ({code.co_filename}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return ConfigurationError(f"{uses} cannot be imported: {one_line(error)}{location}")
