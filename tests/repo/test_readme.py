"""What the README says of keys and defaults is what the program does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.pseudo_terminal import ROOT
from tl_tui.common.metrics import interval
from tl_tui.protocol.config import RunConfig
from tl_tui.settings import config_file, defaults
from tui import keys
from tui.cli.options import run_options

README = (ROOT / "README.md").read_text()


def test_the_keys_are_the_apps_own() -> None:
    assert keys.markdown_table() in README


def test_the_defaults_are_the_engines_own() -> None:
    assert defaults.markdown_table() in README


def test_the_options_are_the_command_lines_own() -> None:
    assert run_options.markdown_table() in README


def block(language: str) -> str:
    """The only example in a language."""
    (rest,) = README.split(f"```{language}\n")[1:]
    return rest.partition("```")[0]


def test_the_run_file_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(block("toml"))
    found = config_file.read_config_file(tmp_path / "job.toml")
    assert found["data"] == str(tmp_path / "flowers") and found["warmup"] == 0.1
    assert RunConfig(**found).plan == "lp-ft"


def test_the_line_of_json_and_the_line_of_words_are_of_one_validation() -> None:
    line = json.loads(block("json"))
    assert line["accuracy"] == line["correct"] / line["total"]
    assert line["interval"] == pytest.approx(interval(line["correct"], line["total"]))
    low, high = line["interval"]
    words = f"{line['correct']} of {line['total']}, .81 ({low:.2f} to {high:.2f})"
    assert words.replace("0.", ".") in README
    assert f"loss {line['loss']:.3f}. Best so far." in README


def test_the_pictures_are_there() -> None:
    for part in README.split("](")[1:]:
        link = part.partition(")")[0]
        if not link.startswith("#"):
            assert (ROOT / link).exists(), link
