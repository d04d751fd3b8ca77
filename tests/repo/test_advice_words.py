"""Every command, option and key that a sentence names exists.

Goes through all texts of the product, whether a test shows them or not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import click
import pytest

from tests.support.reading_sample import sources
from tui.cli.main import COMMANDS, command_line
from tui.keys import KEYS

FOREIGN = {"--overlap", "--jobid", "--pty", "--gres", "--time", "--signal", "--user", "--scope"} | {
    "--force-reinstall",
    "--index-url",
}
"""Options of other programs: srun, sbatch, systemd-run and pip."""
PRIVATE = {"--stdio", "--socket", "--log", "--parent", "--idle", "--first-client", "--version"}
"""Options that tl-tui passes to itself, and the one that click adds."""


def texts() -> Iterator[tuple[str, str]]:
    """Yield the file and the text of every string of the product, but docstrings and code."""
    for path in sources():
        if "/export/script/" in path.as_posix():
            continue  # the lines of a training script
        tree = ast.parse(path.read_text())
        silent = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Expr, ast.JoinedStr))
            for part in ast.walk(node)
            if part is not node and (isinstance(node, ast.JoinedStr) or part is node.value)
        }
        for node in ast.walk(tree):
            if id(node) in silent:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value
            elif isinstance(node, ast.JoinedStr):
                yield (
                    path.name,
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    ),
                )


SENTENCES = [(file, text) for file, text in texts() if " " in text]


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """Return the options of each command."""
    context = click.Context(command_line)
    found = {}
    for name in (*COMMANDS, "open"):
        command = command_line.get_command(context, name)
        assert command is not None
        found[name] = {"--help", *(opt for part in command.params for opt in part.opts)}
    return found


def test_every_command_that_is_named_exists() -> None:
    named = [
        (word, file, text)
        for file, text in SENTENCES
        for word in re.findall(r"`tl-tui ([a-z]+)\b|tl-tui ([a-z]+) (?:…|--|[A-Z]{2,})", text)
    ]
    words = [(quoted or followed, *rest) for (quoted, followed), *rest in named]
    assert len(words) > 25
    assert [entry for entry in words if entry[0] not in (*COMMANDS, "engine", "needs")] == []


def test_every_option_that_is_named_exists(options: dict[str, set[str]]) -> None:
    everywhere = set().union(*options.values(), FOREIGN, PRIVATE)
    named = 0
    for file, text in SENTENCES:
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            named += 1
            assert option in everywhere, (file, text)
        for command, rest in re.findall(r"tl-tui ([a-z]+)((?: [^\s`;,.]+)*)", text):
            if command in options:
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest.split(" continues")[0]):
                    assert option in options[command] | {"--host"}, (file, text)
    assert named > 100


def test_every_key_that_is_named_is_bound() -> None:
    bound = {name for key in KEYS for name in (*key.keys, *key.names)}
    bound |= {"Enter", "Escape", "Esc", "Tab"}
    named = [
        (key, file, text)
        for file, text in SENTENCES
        if file != "keys.py"
        for key in re.findall(r"\b[Pp]ress (\S+?)(?=[\s.,;:]|$)", text)
        if key not in ("again", "…")
    ]
    assert len(named) > 15
    assert [entry for entry in named if entry[0] not in bound] == []
