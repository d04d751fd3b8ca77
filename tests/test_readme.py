"""What the README says of keys and defaults is what the program does."""

from __future__ import annotations

from engine import defaults
from tests.terminal import ROOT
from tui import bindings

README = (ROOT / "README.md").read_text()


def test_the_keys_are_the_apps_own() -> None:
    assert bindings.markdown_table() in README


def test_the_defaults_are_the_engines_own() -> None:
    assert defaults.markdown_table() in README


def test_the_pictures_are_there() -> None:
    for part in README.split("](")[1:]:
        link = part.partition(")")[0]
        if not link.startswith("#"):
            assert (ROOT / link).exists(), link
