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

from tests.support.paths import ROOT

PACKAGES = ("engine", "tui", "tl_tui")
REPORTERS = {"Problem", "show_now", "enqueue", "pin", "Refused"}
"""Functions and classes whose first argument is a message to the user."""
COMMON = set(  # words that name no feature of their own
    """about above action adds after again against all alone already also and another any apache
    apart applied are arrived asks back because been before begin begins belongs below between
    blue both build but can change changed changes choice choices clone codes colour come comes
    coming compatible
    compare compared compares compute computed connection content continue continues
    contributing conv copy covers create cross debian design died directories divided does done
    down draw each earlier edges else enter environment every everything executed fast feature
    file files find fine finite first five fixed flow following for found four from full gets
    give goes green hand happens have held here hold holds home how imagenet install installed
    installs internet into its itself just keep keeps kept keys larger last later layer layers
    learned learning learns learnt least leave leaves leaving left less licence like line linear
    lines list long look lower machine made make makes many mean meaning means message middle
    minutes mode model models more most move moved much must mypy name need needed needs never
    newer next nodes none not nothing now number objects off oldest one ones only open opens
    option options other others otherwise output over own page part parts pass passed passes
    path patterns pgdn pgup plain plans power press prints processes propose proposed python
    pytorch raise reach reached read real received receives repository representative return
    right roles rows ruff running runs same save saves say says sets share
    script second see seed several shape
    should show shown shows simulated since size slow slower small some space speed stages start
    starts stay stayed stays step steps still stop stopped such supported switch switches system
    table take takes taught tells test tests textures than that the their them then there these
    they thing things third this three through time times together took tools torch train
    trained training trains transfer turn two type ubuntu under until update use used uses using
    variants versions very want wanted was watches way well went were what when where whether
    which while who whole whose why will with within without word work works would wrong yet you
    your""".split()
)


def words() -> list[str]:
    """Return the words of the main screen, of the help screen, of README.md and docs/keys.md."""
    text = asyncio.run(_screens())
    text += (ROOT / "README.md").read_text() + (ROOT / "docs" / "keys.md").read_text()
    text = re.sub(r"```.*?```|`[^`]*`|\([^)]*\)", " ", text, flags=re.DOTALL)
    found = {word.lower() for word in re.findall(r"(?<![\w…])[A-Za-z]{4,}(?![\w…])", text)}
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
