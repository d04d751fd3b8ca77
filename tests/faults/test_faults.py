"""Every fault once, from a fixed seed; `python -m tests.faults --full` repeats them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import (  # noqa: F401
    hostile_clients,
    image_content,
    not_finite,
    processes,
    screen_faults,
    storage,
)
from tests.faults.fault_table import FAULTS, Fault, Place, Skipped
from tests.faults.training import train
from tests.support.driven_session import draw_images


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("shared") / "images")


def test_processes_of_a_place_are_found_while_they_run(images: Path, tmp_path: Path) -> None:
    """If none were found, a process that is left would go unnoticed."""
    place = Place(tmp_path, images, random.Random(0))
    with train(place, tmp_path / "run") as training:
        training.read("step")
        assert sorted(place.processes()) == sorted([training.process.pid, training.engine])
    place.leave()


@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("faults")  # one reference run for all
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=[pytest.mark.thorough] if fault.like else [])
        for fault in FAULTS
    ],
)
def test_a_fault_is_survived(
    fault: Fault, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = Place(tmp_path_factory.mktemp("f"), images, random.Random(f"0 {fault.name} 0"))
    try:
        fault.do(place)
        place.leave()
    except Skipped as why:
        pytest.skip(str(why))
    finally:
        place.clear()
