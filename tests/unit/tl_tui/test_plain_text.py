"""Output in encodings that lack characters: nothing raises, and names stay distinct."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.support.paths import ROOT
from tl_tui.common.plain_text import PLAIN, accept_any_text, plain, write_ascii, write_utf8
from tui.drawing.ascii_cells import ascii_cells

HOSTILE = ("Käse – 12 × 3 …", "日本語.jpg", "naïve \U0001f600", "half \udcff", "→ ‖g‖ ·", "ﬁ")
NOT_WRITTEN = {"é"}
"""Characters of the sources that are only sent to the terminal to see how wide it draws them."""


def strings(path: Path) -> Iterator[str]:
    """Yield the texts of a module other than its docstrings and comments."""
    source = path.read_bytes()
    if source.isascii():
        return
    tree = ast.parse(source)
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in described:
                yield node.value


def test_every_character_that_tl_tui_writes_has_a_plain_form() -> None:
    for folder in ("tl_tui", "tui", "engine"):
        for path in (ROOT / folder).rglob("*.py"):
            for text in strings(path):
                lacking = {c for c in text if not c.isascii()} - set(PLAIN) - NOT_WRITTEN
                assert not lacking, f"{path}: {lacking} in {text}"
    assert all(form.isascii() and form for form in PLAIN.values())


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8"])
def test_no_text_raises_in_any_encoding(
    encoding: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = [io.BytesIO(), io.BytesIO()]
    for name, buffer in zip(("stdout", "stderr"), raw, strict=True):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding))
    accept_any_text()
    for stream in (sys.stdout, sys.stderr):
        print(text, file=stream, flush=True)
    for buffer in raw:
        written = buffer.getvalue().decode(encoding)
        kept = "".join(c if c in written else plain(c) for c in text)
        assert written == f"{kept}\n"
        assert "?" not in written


def test_streams_for_programs_are_utf8_and_those_for_old_terminals_ascii(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for write, expected in ((write_utf8, "Käse ·\\udcff".encode()), (write_ascii, b"K\\xe4se -")):
        buffer = io.BytesIO()
        stream = io.TextIOWrapper(buffer, encoding="latin-1")
        write(stream)
        print("Käse ·" + "\udcff" * (write is write_utf8), file=stream, end="", flush=True)
        assert buffer.getvalue() == expected


@given(st.text(st.characters(exclude_characters="\\"), max_size=20))
def test_names_stay_distinct_in_ascii(name: str) -> None:
    shown = plain(name)
    assert shown.isascii()
    if not set(name) & set(PLAIN):
        assert shown.encode().decode("unicode_escape") == name


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30))
def test_text_on_an_ascii_screen_takes_as_many_cells(text: str) -> None:
    shown = ascii_cells(text)
    assert shown.isascii() and cell_len(shown) == cell_len(text)


@pytest.mark.parametrize(
    ("drawn", "shown"),
    [
        ("╭─┬╮│╰┴╯", "+-++|+++"),
        ("▁▅█", "###"),
        ("⠀⣿", " *"),
        ("Käse", "Kase"),
        ("日本", "????"),
        ("👩\u200d🔬", "??"),
    ],
)
def test_borders_scrollbars_and_curves_look_alike(drawn: str, shown: str) -> None:
    assert ascii_cells(drawn) == shown
