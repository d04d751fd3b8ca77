"""The audit finds every way in which a frozen tensor can change, and names the cause."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.checks.audit import Audit
from engine.model import freezing
from engine.training.trainer import Trainer
from tests.support.plain_training import make_trainer, small_resnet
from tl_tui.protocol.checks import AuditFinding

STATISTICS = ["running_mean", "running_var", "num_batches_tracked"]


class Audited:
    """A trainer with feature extraction, audited from its beginning."""

    def __init__(self, model: nn.Module | None = None) -> None:
        self.trainer: Trainer = make_trainer(model or small_resnet())
        self.mask = freezing.strategies(self.trainer.stack)["feature-extraction"]
        self.modes: dict = {}
        self.audit = Audit(self.trainer, self.trainer.snapshot().tensors, self.mask)

    def step(self, strategy: str | None = None) -> None:
        if strategy:
            self.mask = freezing.strategies(self.trainer.stack)[strategy]
        self.audit.before_step(self.mask, self.modes)
        self.trainer.step(self.mask, self.modes, measured=False)

    def findings(self) -> dict[str, str]:
        before = self.trainer.snapshot()
        tensors, findings = self.audit.run(self.mask, self.modes)
        after = self.trainer.snapshot()
        assert freezing.changed_tensors(before.tensors, after.tensors) == []
        assert before.cursor == after.cursor
        assert torch.equal(before.cpu_random, after.cpu_random)
        frozen = freezing.frozen_tensors(self.trainer.stack, self.mask)
        assert tensors == len(frozen)
        assert all(isinstance(finding, AuditFinding) for finding in findings)
        return {finding.tensor: finding.cause for finding in findings}

    def owner(self, name: str) -> int:
        return [owner.name for owner in self.trainer.stack.owners].index(name)

    def module(self, name: str) -> nn.Module:
        return self.trainer.model.get_submodule(name)


def test_no_frozen_tensor_changes_whatever_the_mask() -> None:
    audited = Audited()
    assert audited.findings() == {}
    assert audited.audit.run(audited.mask, {})[0] > 20
    for strategy in ("feature-extraction", "last-stage", "full", "last-stage", "bn-only"):
        audited.step(strategy)
        assert audited.findings() == {}


def test_a_batchnorm_that_would_drift_in_the_next_step_is_found() -> None:
    audited = Audited()
    audited.modes = {audited.owner("layer2.0.bn1"): "train"}
    findings = audited.findings()
    assert list(findings) == [f"layer2.0.bn1.{name}" for name in STATISTICS]
    assert all("train mode" in cause for cause in findings.values())


def test_a_batchnorm_that_has_drifted_since_it_was_frozen_is_found() -> None:
    audited = Audited()
    audited.modes = {audited.owner("layer1.0.bn2"): "train"}
    audited.step()
    audited.modes = {}
    findings = audited.findings()
    assert list(findings) == [f"layer1.0.bn2.{name}" for name in STATISTICS]
    assert all("as you switched it" in cause for cause in findings.values())


def test_a_finding_is_dropped_when_the_layer_was_thawed_and_frozen_again() -> None:
    audited = Audited()
    audited.modes = {audited.owner("layer4.0.bn2"): "train"}
    audited.step()
    audited.modes = {}
    audited.step("last-stage")
    audited.step("feature-extraction")
    assert audited.findings() == {}


def test_a_write_between_two_steps_is_found() -> None:
    audited = Audited()
    audited.step()
    with torch.no_grad():
        audited.module("layer3.0.conv1").weight[0, 0, 0, 0] += 1e-6  # type: ignore[operator, index]
    findings = audited.findings()
    assert list(findings) == ["layer3.0.conv1.weight"]
    assert "between steps" in findings["layer3.0.conv1.weight"]


def test_a_restored_layer_is_no_finding() -> None:
    audited = Audited()
    audited.step()
    with torch.no_grad():
        audited.module("layer3.0.conv1").weight.mul_(2)  # type: ignore[operator, union-attr]
    audited.audit.accept_changes({audited.owner("layer3.0.conv1")})
    assert audited.findings() == {}


def test_a_layer_that_writes_to_its_own_weight_is_found() -> None:
    class Counting(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                self.weight += 1
            return super().forward(x)

    model = small_resnet()
    model.conv1 = Counting(3, 64, 7, 2, 3, bias=False)
    findings = Audited(model).findings()
    assert list(findings) == ["conv1.weight"]
    assert "other than the optimizer" in findings["conv1.weight"]


def test_a_buffer_that_its_module_writes_to_is_found() -> None:
    class Counted(nn.Conv2d):
        def __init__(self, *args: object, **named: object) -> None:
            super().__init__(*args, **named)  # type: ignore[arg-type]
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1  # type: ignore[operator]
            return super().forward(x)

    model = small_resnet()
    model.conv1 = Counted(3, 64, 7, 2, 3, bias=False)
    findings = Audited(model).findings()
    assert findings == {"conv1.calls": "the module writes to this buffer in its forward pass"}


@pytest.mark.parametrize("name", ["layer2.0.conv1", "bn1"])
def test_a_parameter_thawed_by_a_hook_is_found(name: str) -> None:
    audited = Audited()
    module = audited.module(name)

    def thaw(*_: object) -> None:
        module.weight.requires_grad_(True)  # type: ignore[union-attr, operator]

    module.register_forward_pre_hook(thaw)
    findings = audited.findings()
    assert list(findings) == [f"{name}.weight"]
    assert "outside the mask" in findings[f"{name}.weight"]
