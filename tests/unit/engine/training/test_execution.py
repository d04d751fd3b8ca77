"""The options for executing steps. CUDA graphs themselves are tested in `tests/gpu`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.commands import Step, Train
from tl_tui.protocol.session import OpenFailed
from tl_tui.protocol.training import StepTaken


@pytest.fixture
def options(tmp_path: Path) -> dict:
    return {
        "data": str(draw_images(tmp_path / "images")),
        "weights": "none",
        "device": "cpu",
        "image_size": 64,
        "batch_size": 8,
    }


def losses(driven: DrivenSession) -> list[float]:
    return [step.loss for step in driven.all(StepTaken)]


def test_cuda_graphs_require_a_cuda_device(options: dict, tmp_path: Path) -> None:
    driven = DrivenSession(**options, execution="captured", run_dir=str(tmp_path / "run"))
    sentence = driven.last(OpenFailed).sentence
    assert "--execution captured" in sentence and "cpu" in sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("execution", ["auto", "eager"])
def test_steps_on_a_cpu_run_eagerly(execution: str, options: dict, tmp_path: Path) -> None:
    driven = DrivenSession(**options, execution=execution, run_dir=str(tmp_path / "run"))
    driven.do(Train, steps=3)
    assert not any(step.captured for step in driven.all(StepTaken))
    driven.session.close()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["execution"] == "eager"


@pytest.mark.thorough  # the script of such a run is compared with its losses
def test_channels_last_gives_the_same_losses(options: dict, tmp_path: Path) -> None:
    options |= {"lr": 1e-5, "lr_pretrained": 1e-5}  # with random weights rounding grows quickly
    runs = {}
    for layout in ("contiguous", "channels-last"):
        run_dir = str(tmp_path / layout)
        driven = DrivenSession(**options, memory_format=layout, strategy="full", run_dir=run_dir)
        driven.do(Step)
        driven.do(Train, steps=4)
        runs[layout] = driven
        driven.session.close()
    assert losses(runs["channels-last"]) == pytest.approx(losses(runs["contiguous"]), rel=1e-3)
    # A resumed run keeps its memory format.
    resumed = DrivenSession.resumed(tmp_path / "channels-last")
    resumed.do(Step)
    assert resumed.session.run is not None
    weight = resumed.session.run.trainer.model.get_parameter("layer1.0.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert resumed.last(StepTaken).step == 5
