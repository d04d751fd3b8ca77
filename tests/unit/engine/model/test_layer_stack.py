"""The layer stack is found for many models, and each model can be run from every cut."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import nn

from engine.model.layer_stack import Stack

ROWS = {
    "resnet18": 10,
    "resnet50": 18,
    "resnext50_32x4d": 18,
    "wide_resnet50_2": 18,
    "mobilenet_v3_large": 19,
    "efficientnet_b0": 19,
    "convnext_tiny": 23,
    "densenet121": 9,
    "vit_b_16": 3,
}
SIZE = {"vit_b_16": 224}
SLOW = ("vit_b_16", "wide_resnet50_2", "resnext50_32x4d")


def build(arch: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = torchvision.models.get_model(arch, weights=None, num_classes=3)
    return model, torch.randn(2, 3, SIZE.get(arch, 64), SIZE.get(arch, 64))


@pytest.mark.parametrize(
    "arch",
    [pytest.param(arch, marks=[pytest.mark.thorough] if arch in SLOW else []) for arch in ROWS],
)
def test_running_to_a_cut_and_from_it_equals_the_model(arch: str) -> None:
    """This holds in eval mode and, with the same random state, in train mode."""
    model, images = build(arch)
    stack = Stack(model, images[:1])
    assert len(stack.rows) == ROWS[arch]
    assert stack.traced and stack.cuts
    model.eval()
    with torch.no_grad():
        whole = model(images)
        for cut in stack.cuts:
            activation = stack.run_to(cut, images)
            before = activation.clone()
            assert torch.equal(stack.run_from(cut, activation), whole), cut.name
            assert torch.equal(activation, before), f"{cut.name}: the activation was changed"
    model.train()
    start = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        torch.manual_seed(1)
        whole = model(images)
        for cut in stack.cuts[:: max(1, len(stack.cuts) // 4)]:
            model.load_state_dict(start)
            torch.manual_seed(1)
            again = stack.run_from(cut, stack.run_to(cut, images))
            assert torch.equal(again, whole), cut.name


def test_every_resnet_row_below_the_head_is_a_cut() -> None:
    model, images = build("resnet18")
    info = Stack(model, images[:1], model.fc).describe()  # type: ignore[arg-type]
    assert [row.cut for row in info.rows] == [True] * 9 + [False]
    assert [row.head for row in info.rows] == [False] * 9 + [True]


def test_the_description_of_resnet18_names_rows_roles_and_sizes() -> None:
    model, images = build("resnet18")
    info = Stack(model, images[:1]).describe()
    assert [row.name for row in info.rows] == [
        "conv1",
        "layer1.0",
        "layer1.1",
        "layer2.0",
        "layer2.1",
        "layer3.0",
        "layer3.1",
        "layer4.0",
        "layer4.1",
        "fc",
    ]
    assert [stage.role for stage in info.stages] == [
        "edges",
        "textures",
        "patterns",
        "parts",
        "objects",
        "classes",
    ]
    assert info.rows[7].detail == "256 → 512, stride 2" and info.rows[7].kind == "BasicBlock"
    assert info.rows[0].output_shape == (64, 32, 32)
    assert sum(row.params for row in info.rows) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("arch", ["resnet50", "vit_b_16", "densenet121", "efficientnet_b0"])
def test_every_parameter_has_one_owner(arch: str) -> None:
    model, images = build(arch)
    stack = Stack(model, images[:1])
    owned = [id(p) for owner in stack.owners for p in owner.parameters]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    assert all(parent < index for index, o in enumerate(stack.owners) for parent in o.parents)
    in_rows = [owner for row in stack.rows for owner in row.owners]
    assert in_rows == list(range(len(stack.owners)))


def test_parents_follow_the_residual_connections() -> None:
    model, images = build("resnet18")
    owners = Stack(model, images[:1]).owners
    names = [owner.name for owner in owners]
    parents = {o.name: {names[p] for p in o.parents} for o in owners}
    assert parents["layer2.0.conv1"] == {"layer1.1.bn2"}
    assert parents["layer2.0.downsample.0"] == {"layer1.1.bn2"}
    assert parents["layer2.1.conv1"] == {"layer2.0.bn2", "layer2.0.downsample.1"}
    assert parents["conv1"] == set()


def test_a_model_that_cannot_be_traced_still_has_rows() -> None:
    class Untraceable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Linear(4, 2)
            self.early = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.early(x)
            if x.sum() > 1e9:  # data-dependent control flow, which fx cannot trace
                x = x * 0
            return self.late(x.mean((2, 3)))

    stack = Stack(Untraceable(), torch.zeros(1, 3, 8, 8))
    assert not stack.traced and stack.cuts == []
    assert [row.name for row in stack.rows] == ["early", "late"]  # in order of execution
    assert [owner.parents for owner in stack.owners] == [(), (0,)]


def test_finding_the_stack_does_not_change_the_model() -> None:
    model, images = build("resnet18")
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    Stack(model, images[:1])
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
