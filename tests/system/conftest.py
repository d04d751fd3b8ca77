"""Fixtures of the tests of whole processes: images, and terminals that are closed after a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.command_line import open_terminal
from tests.support.driven_session import draw_images
from tests.support.pseudo_terminal import Terminal

SMALL = ("--image-size", "32", "--batch-size", "8", "--weights", "none")
Opener = Callable[..., Terminal]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn squares, 48 for training and 16 for validation. Tests must not change them."""
    return draw_images(tmp_path_factory.mktemp("images") / "squares", train=24, val=8)


@pytest.fixture
def tl_tui(environment: dict[str, str], images: Path) -> Iterator[Opener]:
    """Open `tl-tui` on the images, or `tl-tui attach`; end it and its engine after the test."""
    opened: list[Terminal] = []

    def open_app(
        *words: str | Path, env: Mapping[str, str] | None = None, **options: int
    ) -> Terminal:
        arguments = words if words[:1] == ("attach",) else (images, *SMALL, *words)
        opened.append(open_terminal(*arguments, env=environment | dict(env or {}), **options))
        return opened[-1]

    yield open_app
    for terminal in opened:
        terminal.close()
