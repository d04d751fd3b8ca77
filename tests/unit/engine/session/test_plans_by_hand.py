"""Plans, schedules and optimizers of a session, compared step by step with plain PyTorch.

The reference is a plain training loop: `requires_grad`, eval mode for frozen BatchNorms, PyTorch's
own optimizer and scheduler.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.data.decoding import read_rgb
from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.commands import SetMask, Train
from tl_tui.protocol.session import MaskPlanned, PlanChanged
from tl_tui.protocol.training import StepTaken
from tl_tui.settings.schedule import COSINE_FLOOR

thorough = pytest.mark.thorough

EPOCH = 3
"""Steps per epoch: 24 images in batches of 8."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images"))


def session(folder: Path, tmp_path: Path, **config: object) -> DrivenSession:
    common = {"data": str(folder), "weights": "none", "image_size": 32, "batch_size": 8}
    return DrivenSession(run_dir=str(tmp_path / "run"), **(common | config))  # type: ignore[arg-type]


class PlainTraining:
    """A copy of a session's model, trained by a plain loop."""

    def __init__(self, driven: DrivenSession) -> None:
        run = driven.session.run
        assert run is not None
        self.trainer = run.trainer
        self.model = copy.deepcopy(self.trainer.model)
        self.rates = dict(
            zip((row.name for row in run.context.stack.rows), run.trainer.rates, strict=True)
        )
        self.rows = {
            run.context.stack.owners[owner].name: row.name
            for row in run.context.stack.rows
            for owner in row.owners
        }

    def set_trainable(self, *tops: str) -> None:
        """Make exactly these top-level modules trainable; frozen BatchNorms are in eval mode."""
        self.model.train()
        for name, module in self.model.named_modules():
            on = name.split(".")[0] in tops
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(on)
                if not on:
                    parameter.grad = None
            if isinstance(module, nn.BatchNorm2d):
                module.train(on)

    def groups(self) -> list[dict]:
        return [
            {"params": [parameter], "lr": self.rates[self.rows[name.rpartition(".")[0]]]}
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        ]

    def step(self, optimizer: torch.optim.Optimizer, position: int) -> float:
        samples = self.trainer.batches.samples_at(position)
        transform = self.trainer.batches.decoder.transform
        images = torch.stack([transform(read_rgb(sample.path)) for sample in samples])
        labels = torch.tensor([sample.label for sample in samples])
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.model(images), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())


def sgd(groups: list[dict]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=1.0, momentum=0.9, weight_decay=1e-4)


def cosine_over(steps: int) -> Callable[[int], float]:
    floor = COSINE_FLOOR
    return lambda done: floor + (1 - floor) * (1 + math.cos(math.pi * done / steps)) / 2


def carry_over(kept: dict, optimizer: torch.optim.Optimizer) -> None:
    """Copy the optimizer state of parameters that were trained before and still are."""
    for group in optimizer.param_groups:
        if group["params"][0] in kept:
            optimizer.state[group["params"][0]] = kept[group["params"][0]]


def assert_same_weights(twin: PlainTraining) -> None:
    theirs = twin.model.state_dict()
    for name, tensor in twin.trainer.model.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-6, msg=name)


def losses(driven: DrivenSession) -> list[float]:
    return [step.loss for step in driven.all(StepTaken)]


ALL = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc")


@pytest.mark.thorough
def test_lp_ft_with_cosine_equals_two_plain_loops(folder: Path, tmp_path: Path) -> None:
    driven = session(folder, tmp_path, plan="lp-ft", epochs=4, lr_schedule="cosine")
    twin = PlainTraining(driven)
    driven.do(Train)
    expected: list[float] = []
    kept: dict = {}
    steps = 2 * EPOCH
    for tops in (("fc",), ALL):
        twin.set_trainable(*tops)
        optimizer = sgd(twin.groups())
        factors = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine_over(steps))
        carry_over(kept, optimizer)  # the head keeps its momentum in phase two
        for _ in range(steps):
            expected.append(twin.step(optimizer, len(expected)))
            factors.step()
        kept = dict(optimizer.state)
    assert losses(driven) == pytest.approx(expected, rel=1e-4)
    assert_same_weights(twin)


def test_gradual_unfreezing_equals_one_plain_loop_per_stage(folder: Path, tmp_path: Path) -> None:
    driven = session(folder, tmp_path, plan="gradual", epochs=7)
    twin = PlainTraining(driven)
    driven.do(Train)
    expected: list[float] = []
    kept: dict = {}
    stages = [("fc",), ("layer4",), ("layer3",), ("layer2",), ("layer1",), ("conv1", "bn1")]
    for number in range(len(stages)):
        twin.set_trainable(*(top for stage in stages[: number + 1] for top in stage))
        optimizer = sgd(twin.groups())
        carry_over(kept, optimizer)
        for _ in range(EPOCH * (2 if number == len(stages) - 1 else 1)):
            expected.append(twin.step(optimizer, len(expected)))
        kept = dict(optimizer.state)
    assert losses(driven) == pytest.approx(expected, rel=1e-4)
    assert_same_weights(twin)
    planned = [event.reason for event in driven.all(MaskPlanned)]
    assert planned == [
        f"plan gradual: {n}" for n in ("layer4", "layer3", "layer2", "layer1", "conv1")
    ]


def test_setting_a_mask_leaves_the_plan_and_the_mask_stays(folder: Path, tmp_path: Path) -> None:
    driven = session(folder, tmp_path, plan="gradual", epochs=6)
    head = driven.opened.trainable
    driven.do(Train, steps=2)
    driven.do(SetMask, trainable=(*head, 0))
    assert driven.last(PlanChanged).plan is None
    assert driven.last(PlanChanged).reason == "interrupted by hand"
    driven.do(Train, steps=2 * EPOCH)
    assert {step.mask for step in driven.all(StepTaken)[2:]} == {tuple(sorted((*head, 0)))}


@pytest.mark.parametrize(
    ("config", "make"),
    [
        ({"optimizer": "adamw"}, lambda g: torch.optim.AdamW(g, lr=1.0, weight_decay=1e-4)),
        ({"optimizer": "sgd"}, sgd),
        (
            {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.1},
            lambda g: torch.optim.SGD(g, lr=1.0, weight_decay=0.1),
        ),
    ],
)
def test_optimizers_equal_those_of_pytorch(
    folder: Path, tmp_path: Path, config: dict, make: Callable[[list], torch.optim.Optimizer]
) -> None:
    driven = session(folder, tmp_path, strategy="last-stage", **config)
    twin = PlainTraining(driven)
    driven.do(Train, steps=5)
    twin.set_trainable("layer4", "fc")
    optimizer = make(twin.groups())
    expected = [twin.step(optimizer, position) for position in range(5)]
    assert losses(driven) == pytest.approx(expected, rel=1e-4)
    assert_same_weights(twin)


@pytest.mark.parametrize(
    "arch", ["resnet18", "mobilenet_v3_small", pytest.param("vit_b_16", marks=thorough)]
)
def test_rates_decay_with_depth_and_strategies_are_nested(
    folder: Path, tmp_path: Path, arch: str
) -> None:
    size = 224 if arch.startswith("vit") else 32
    driven = session(
        folder, tmp_path, arch=arch, image_size=size, lr=0.1, lr_pretrained=0.01, lr_decay=0.5
    )
    stack = driven.opened.stack
    below = [
        rate for row, rate in zip(stack.rows, driven.opened.rates, strict=True) if not row.head
    ]
    assert below == pytest.approx([0.01 * 0.5**d for d in range(len(below))][::-1])
    assert driven.opened.rates[-1] == 0.1
    strategies = driven.opened.strategies
    heads = {i for i, o in enumerate(stack.owners) if stack.rows[o.row].head}
    assert set(strategies["feature-extraction"]) == heads
    assert set(strategies["full"]) == set(range(len(stack.owners)))
    norms = {i for i, o in enumerate(stack.owners) if "Norm" in o.kind}
    assert set(strategies["bn-only"]) == heads | norms and norms
    ordered = ["feature-extraction", "last-stage", "last-two-stages", "full"]
    for smaller, larger in itertools.pairwise(ordered):
        assert set(strategies[smaller]) <= set(strategies[larger])


def test_with_the_last_stage_trainable_the_gradient_stops_below_it(
    folder: Path, tmp_path: Path
) -> None:
    """With layer4 and fc trainable, the gradient arrives at fc and layer4, and not at layer3."""
    driven = session(folder, tmp_path, strategy="last-stage", probe_every=1)
    driven.do(Train, steps=1)
    step = driven.last(StepTaken)
    reach = {
        row.name: seen.reach for row, seen in zip(driven.opened.stack.rows, step.rows, strict=True)
    }
    assert [name for name, reached in reach.items() if reached == "updated"] == [
        "layer4.0",
        "layer4.1",
        "fc",
    ]
    assert set(reach.values()) == {"updated", "unreached"}
    arrivals = {
        row.name: s.arrival_ms for row, s in zip(driven.opened.stack.rows, step.rows, strict=True)
    }
    assert arrivals["fc"] < arrivals["layer4.1"] < arrivals["layer4.0"]  # type: ignore[operator]
    assert arrivals["layer3.1"] is None
