"""Fixtures of the tests of commands: images, and a run that was trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.driven_session import draw_images


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn squares, 24 for training and 12 for validation. Tests must not change them."""
    return draw_images(tmp_path_factory.mktemp("images") / "squares")


@pytest.fixture(scope="session")
def a_run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """A run of three steps on the squares. Tests must not change it."""
    from tests.support.trained_runs import train_run

    return train_run(images, tmp_path_factory.mktemp("runs") / "squares")
