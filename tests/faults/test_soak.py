"""The soak test for a few steps; `python -m tests.faults.soak` takes many."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.fault_table import SOON, Place
from tests.faults.soak import growth, soak
from tests.support.driven_session import draw_images


@pytest.mark.thorough
@pytest.mark.timeout(1200)
def test_neither_memory_nor_open_files_grow(tmp_path: Path) -> None:
    place = Place(tmp_path, draw_images(tmp_path / "images"), random.Random(0))
    samples = soak(place, 60, samples=10, say=lambda _: None, patience=2 * SOON)
    assert growth(samples) == []
