"""`predict`, the README of an exported model and an exported script prepare images alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.data.decoding import read_rgb
from engine.jobs.load import load_model
from tests.support.odd_images import ODD, write_odd_images
from tests.support.readme_programs import readme_programs
from tests.support.trained_runs import run_job, train_run
from tl_tui.protocol.commands import ExportModel, ExportScript, Predict
from tl_tui.protocol.inference import ImagesPredicted

pytestmark = pytest.mark.xdist_group("same_preprocessing")  # its run is trained once


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd_images(tmp_path_factory.mktemp("odd") / "odd images")


@pytest.fixture(scope="module")
def odd_run(data: Path) -> Path:
    return train_run(data, data.with_name("run"), steps=2, strategy="feature-extraction")


@pytest.fixture(scope="module")
def plain_run(images: Path, data: Path) -> Path:
    """A run on 8-bit images without transparency."""
    return train_run(images, data.with_name("plain run"), steps=2, strategy="feature-extraction")


def inputs_of_readme(run: Path, folder: Path, paths: list[Path]) -> tuple[Any, list[Tensor]]:
    """Follow the README: return the model and the input of each image."""
    told, failure = run_job(ExportModel, run=str(run), folder=str(folder), formats=("pth",))
    assert not failure, told
    programs = readme_programs(folder)
    names: dict[str, Any] = {}
    exec(programs["model.pth"], names)
    inputs = []
    for path in paths:
        exec(programs["Preprocessing"].replace('"a.jpg"', repr(str(path))), names)
        inputs.append(names["image"])
    return names["model"], inputs


def inputs_of_script(run: Path, script: Path, paths: list[Path]) -> list[Tensor]:
    """Run an exported script up to its model: return the input of each image."""
    told, failure = run_job(ExportScript, run=str(run), path=str(script))
    assert not failure, told
    before_model = script.read_text().partition("# --- The model ---")[0]
    names: dict[str, Any] = {"__file__": str(script)}
    exec(before_model, names)
    return [names["load_image"](path) for path in paths]


@pytest.mark.parametrize("kind", ["odd_run", pytest.param("plain_run", marks=pytest.mark.thorough)])
def test_all_prepare_odd_images_alike(
    kind: str,
    data: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = request.getfixturevalue(kind)
    paths = [data / "val" / "class 1" / name for name in ODD]
    trained = load_model(str(run))
    assert bool(trained.ranges) == (kind == "odd_run")
    told, _ = run_job(Predict, run=str(run), paths=tuple(map(bytes, paths)), device="cpu")
    predicted = {
        image.path: image.probabilities
        for event in told
        if isinstance(event, ImagesPredicted)
        for image in event.images
    }
    assert len(predicted) == len(ODD)
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path / "m")
    model, by_readme = inputs_of_readme(run, tmp_path / "m", paths)
    by_script = inputs_of_script(run, tmp_path / "train.py", paths)
    for path, from_readme, from_script in zip(paths, by_readme, by_script, strict=True):
        own = trained.preset(read_rgb(path, trained.ranges))
        assert torch.equal(own, from_readme) and torch.equal(own, from_script), path.name
        with torch.no_grad():
            said = model(from_readme[None]).softmax(1)[0]
        expected = torch.tensor(predicted[str(path)])
        torch.testing.assert_close(said, expected, rtol=0, atol=1e-4)
