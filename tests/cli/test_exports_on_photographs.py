"""Long and varied runs on photographs: the exported script has the losses of the journal.

Kernels that round differently do so rarely, so a short run on simple images does not show it. These
runs take 200 steps each. Run them with

    python -m pytest --thorough -s tests/cli/test_exports_on_photographs.py

on all cores (set OMP_NUM_THREADS). A short run of this kind is in `test_export_script.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.server import jobs
from tests.support.driven_session import DrivenSession
from tests.support.photographs import crops_of_photographs
from tl_tui.protocol.commands import (
    ExportScript,
    SetMask,
    SetNormMode,
    SetRate,
    SetRecipe,
    StartOver,
    Train,
)
from tui.cli.script_check import check_script

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(3600)]

STEPS = 200


def train(driven: DrivenSession) -> None:
    """Train without interruption."""
    driven.do(Train, steps=STEPS)


def change_by_hand(driven: DrivenSession) -> None:
    """Start over, then change layers, rates, a BatchNorm and the optimizer from time to time."""
    named = driven.opened.strategies
    owners = [owner.name for owner in driven.opened.stack.owners]
    driven.do(Train, steps=5)
    driven.do(StartOver)
    driven.do(Train, steps=40)
    driven.do(SetMask, trainable=named["last-stage"], strategy="last-stage")
    driven.do(Train, steps=70)
    driven.do(SetRate, rows=(0, 4), rate=0.02)
    driven.do(SetNormMode, owners=(owners.index("layer4.1.bn2"),), mode="eval")
    driven.do(Train, steps=100)
    driven.do(SetMask, trainable=named["full"], strategy="full")
    driven.do(Train, steps=130)
    recipe = msgspec.structs.replace(driven.opened.recipe, momentum=0.5, weight_decay=0.01)
    driven.do(SetRecipe, recipe=recipe)
    driven.do(Train, steps=160)
    driven.do(SetRecipe, recipe=msgspec.structs.replace(recipe, optimizer="adamw", lr_head=0.001))
    driven.do(Train, steps=STEPS)


RUNS: dict[str, tuple[dict[str, Any], Callable[[DrivenSession], None]]] = {
    "sgd": ({"weights": "none", "strategy": "full", "lr": 0.01, "lr_pretrained": 0.01}, train),
    "adamw": ({"weights": "none", "strategy": "full", "optimizer": "adamw"}, train),
    "warm-up": (
        {"arch": "mobilenet_v3_small", "weights": "none", "strategy": "full", "warmup": 0.2}
        | {"augmentation": "light", "momentum": 0.0, "weight_decay": 0.01},
        train,
    ),
    "channels-last": (
        {"weights": "demo", "strategy": "last-two-stages", "memory_format": "channels-last"},
        train,
    ),
    "head": ({"weights": "demo", "strategy": "feature-extraction"}, train),
    "last-stage": ({"weights": "demo", "strategy": "last-stage", "lr_decay": 0.5}, train),
    "bn-only": ({"weights": "demo", "strategy": "bn-only", "lr_schedule": "one-cycle"}, train),
    "lp-ft": ({"weights": "demo", "plan": "lp-ft", "lr_schedule": "cosine"}, train),
    "gradual": (
        {"weights": "demo", "plan": "gradual", "optimizer": "adamw", "warmup": 0.1},
        train,
    ),
    "augmented": (
        {"weights": "demo", "strategy": "full", "augmentation": "standard", "balance": True},
        train,
    ),
    "dropout": (
        {"arch": "efficientnet_b0", "weights": "none", "strategy": "full"},
        train,
    ),
    "by-hand": ({"weights": "demo", "strategy": "feature-extraction"}, change_by_hand),
}
"""The options of each run, and how it is trained."""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crops_of_photographs(tmp_path_factory.mktemp("photographs") / "crops", 41)


@pytest.mark.parametrize("name", RUNS)
def test_every_loss_is_bit_identical(name: str, photographs: Path, tmp_path: Path) -> None:
    options, make = RUNS[name]
    config = {"image_size": 32, "batch_size": 8, "epochs": 12, "device": "cpu"} | options
    driven = DrivenSession(data=str(photographs), run_dir=str(tmp_path / "run"), **config)
    make(driven)
    driven.session.close()
    script = tmp_path / "train.py"
    list(jobs.start_job(ExportScript(id=1, run=str(tmp_path / "run"), path=str(script))))
    comparison = check_script(str(tmp_path / "run"), script)
    print(f"\n{name}: {comparison}")
    assert comparison.steps == STEPS
    assert comparison.equal == STEPS, comparison
