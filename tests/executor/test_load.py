"""Executors by name."""

from __future__ import annotations

import pathlib

import pytest

from twisted_flow import ConfigurationError
from twisted_flow.executor.load import load


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    (tmp_path / "mine_here.py").write_text(
        "import beside\nclass Mine:\n    value = beside.VALUE\n    class Inner: pass\n"
    )
    return tmp_path


def test_file(folder: pathlib.Path) -> None:
    """A file, whose neighbours it can import; the same file twice is one module."""
    mine = load(f"{folder}/mine_here.py:Mine")
    assert mine.value == 7
    assert load("mine_here.py:Mine") is mine
    assert load("mine_here.py:Mine.Inner") is mine.Inner


def test_module(folder: pathlib.Path) -> None:
    """A module, also one of the working directory."""
    (folder / "another_here.py").write_text("class Other: pass\n")
    assert load("another_here:Other").__name__ == "Other"
    assert load("twisted_flow.executor.load:load") is load


@pytest.mark.parametrize(
    ("uses", "line"),
    [
        ("nothing", "there is no executor 'nothing'"),
        (":Class", "neither"),
        ("missing.py:Class", "there is no file"),
        ("missing_module:Class", "there is no module 'missing_module'"),
        ("mine_here.py:Mien", "did you mean 'Mine'"),
        ("broken_here.py:A", r"cannot be imported: ZeroDivisionError: .*broken_here.py, line 2"),
        ("exits_here.py:A", "cannot be imported: SystemExit: 3"),
        ("syntax_here.py:A", "cannot be imported: SyntaxError"),
        ("needs_here:A", "cannot be imported: ModuleNotFoundError: No module named 'not_installed'"),
    ],
)
def test_mistakes(folder: pathlib.Path, uses: str, line: str) -> None:
    """One line says what is wrong, and where."""
    (folder / "broken_here.py").write_text("a = 1\n1 / 0\n")
    (folder / "exits_here.py").write_text("raise SystemExit(3)\n")
    (folder / "syntax_here.py").write_text("class\n")
    (folder / "needs_here.py").write_text("import not_installed\n")
    with pytest.raises(ConfigurationError, match=line) as wrong:
        load(uses)
    assert "\n" not in str(wrong.value)
