"""Draw words, files, docstrings and messages at random, to test how well a newcomer finds them.

    python -m tests.support.reading_sample --seed 1

A reader who has seen only the file tree names the file of each word and the content of each file,
and marks every docstring or message that needs a second reading.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import random
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "tui", "tl_tui")
REPORTERS = {"Problem", "show_now", "enqueue", "pin", "Refused"}
"""Functions and classes whose first argument is a message to the user."""
COMMON = set(
    """about above after again against all also and another any are because been before below
    between both but can come does done down each else every everything first five following for
    four from gets give goes have here how into its itself just keep kept last later least less like
    line long look made make makes many more most much must need needs never newer next none not
    nothing now number off one ones only open other over own part path press same say says second
    see show shown shows since some stay still such take takes than that the their them then there
    these they thing things third this three through time took turn two under until use used uses
    using very want was way well went were what when where which while who whole why will with
    within without word work would yet you your""".split()
)


def words() -> list[str]:
    """Return the words of the main screen, of the help screen, of README.md and docs/keys.md."""
    text = asyncio.run(_screens())
    text += (ROOT / "README.md").read_text() + (ROOT / "docs" / "keys.md").read_text()
    text = re.sub(r"```.*?```|`[^`]*`|\([^)]*\)", " ", text, flags=re.DOTALL)
    found = {word.lower() for word in re.findall(r"\b[A-Za-z]{4,}\b", text)}
    return sorted(found - COMMON)


async def _screens() -> str:
    from tests.support.app_pilot import make_app, ready, screen_text, steps_taken
    from tests.support.scripted_engine import ScriptedEngine

    app = make_app(ScriptedEngine())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await steps_taken(pilot, 1)
        text = screen_text(app)
        await pilot.press("question_mark")
        await pilot.pause()
        return text + " " + screen_text(app)


def sources() -> list[Path]:
    """Return the product's modules, without empty ones."""
    return sorted(
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    )


def docstrings() -> list[str]:
    """Return the docstrings of modules, classes and functions, with where they are."""
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                if text := ast.get_docstring(node):
                    name = getattr(node, "name", "")
                    found.append(f"{path.relative_to(ROOT)} {name}: {text}")
    return found


def messages() -> list[str]:
    """Return the sentences that are raised or shown to the user."""
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (node.args or node.keywords):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else ""
                name = function.id if isinstance(function, ast.Name) else name
                if name in REPORTERS or name.endswith("Problem"):
                    text = ast.unparse(node)
                    if " " in text and len(text) > 60:
                        found.append(f"{path.relative_to(ROOT)}: {text}")
    return found


def main() -> None:
    """Print the sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    chance = random.Random(parser.parse_args().seed)
    for title, items, count in (
        ("words", words(), 20),
        ("files", [str(path.relative_to(ROOT)) for path in sources()], 20),
        ("docstrings", docstrings(), 30),
        ("messages", messages(), 20),
    ):
        print(f"\n## {title}: {count} of {len(items)}")
        print(*chance.sample(items, count), sep="\n")


if __name__ == "__main__":
    main()
