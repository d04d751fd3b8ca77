"""What SECURITY.md says about the code: it executes no data and opens no port."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SOURCES = sorted(
    path for package in ("tl_tui", "engine", "tui") for path in (ROOT / package).rglob("*.py")
)
TRIES_ITS_OWN = ROOT / "engine" / "export" / "script" / "data_section.py"
"""Runs the code that it has just generated for an exported script, with all names as literals."""
EXECUTES = {"eval", "exec", "compile", "system", "popen", "loads", "Unpickler"}
LISTENS = {"start_server", "create_server", "TCPServer", "HTTPServer", "AF_INET", "AF_INET6"}


def _calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield every call as (name before the dot, name, call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield "", node.func.id, node
            elif isinstance(node.func, ast.Attribute):
                before = node.func.value
                yield (before.id if isinstance(before, ast.Name) else "?"), node.func.attr, node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_data_and_nothing_listens(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for before, name, call in _calls(tree):
        where = f"{path}:{call.lineno}"
        if before in ("", "pickle", "os", "builtins", "torch", "marshal"):
            harmless = name == "loads" and before == ""  # a module's own function
            assert name not in EXECUTES or harmless or path == TRIES_ITS_OWN, where
        shell = [k for k in call.keywords if k.arg == "shell"]
        assert not shell, f"{where}: a shell"
        if (before, name) == ("torch", "load"):
            only = [k.value for k in call.keywords if k.arg == "weights_only"]
            assert only and isinstance(only[0], ast.Constant) and only[0].value is True, where
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & LISTENS, path


def test_the_check_finds_forbidden_calls() -> None:
    bad = ast.parse("import pickle\npickle.loads(b'')\neval('1')\n")
    assert [(before, name) for before, name, _ in _calls(bad)] == [
        ("pickle", "loads"),
        ("", "eval"),
    ]
