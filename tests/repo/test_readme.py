"""README and docs agree with the program: keys, options, defaults, examples, links."""

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

PAGES = {
    path.name: path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
}


def test_the_key_table_is_the_apps() -> None:
    assert keys.markdown_table() in PAGES["keys.md"]


def test_the_defaults_table_is_the_engines() -> None:
    assert defaults.markdown_table() in PAGES["options.md"]


def test_the_option_table_is_the_command_lines() -> None:
    assert run_options.markdown_table() in PAGES["options.md"]


def block(language: str) -> str:
    """Return the only example in a language in the page on automation."""
    (rest,) = PAGES["automation.md"].split(f"```{language}\n")[1:]
    return rest.partition("```")[0]


def test_the_example_configuration_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(block("toml"))
    found = config_file.read_config_file(tmp_path / "job.toml")
    assert found["data"] == str(tmp_path / "flowers") and found["warmup"] == 0.1
    assert RunConfig(**found).plan == "lp-ft"


def test_the_json_example_and_the_text_example_show_the_same_validation() -> None:
    line = json.loads(block("json"))
    assert line["accuracy"] == line["correct"] / line["total"]
    assert line["interval"] == pytest.approx(interval(line["correct"], line["total"]))
    low, high = line["interval"]
    text = f"{line['correct']} of {line['total']}, .81 ({low:.2f} to {high:.2f})"
    for page in ("automation.md", "training.md"):
        assert text.replace("0.", ".") in PAGES[page]
        assert f"loss {line['loss']:.3f}. Best so far." in PAGES[page]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    for part in PAGES[name].split("](")[1:]:
        link = part.partition(")")[0].partition("#")[0]
        if link and "://" not in link:
            assert (folder / link).exists(), link
