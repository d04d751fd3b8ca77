"""The warm-up changes nothing, and the import in the background reports its error."""

from __future__ import annotations

import sys

import pytest
import torch
import torchvision

from engine.hardware import torch_import
from engine.hardware.devices import ChosenDevice, choose_device
from engine.model import freezing
from engine.model.layer_stack import Stack
from engine.training.warm_up import warm_up


class Accelerated(ChosenDevice):
    """The CPU, treated as an accelerator."""

    accelerator = True  # type: ignore[assignment]


@pytest.mark.parametrize("strategy", ["feature-extraction", "last-stage", "full"])
@pytest.mark.parametrize("accelerator", [False, True])
def test_a_warm_up_changes_nothing(strategy: str, accelerator: bool) -> None:
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v3_small(num_classes=2)  # with dropout and BatchNorm
    stack = Stack(model, torch.zeros(1, 3, 64, 64))
    mask = freezing.strategies(stack)[strategy]
    freezing.set_requires_grad(stack, mask)
    freezing.set_modes(stack, mask, {})
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    trainable = {name: p.requires_grad for name, p in model.named_parameters()}
    random = torch.get_rng_state()
    device = choose_device("cpu")
    if accelerator:
        device = Accelerated(device.device, device.label)
    assert warm_up(model, stack, mask, device, (4, 3, 64, 64))
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert trainable == {name: p.requires_grad for name, p in model.named_parameters()}
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_the_error_of_the_import_of_torch_is_raised_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Finder:
        tries = 0

        def find_spec(self, name: str, *_: object) -> None:
            if name == "torchvision":
                self.tries += 1
                raise ImportError(f"libcudart.so: try {self.tries}")

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "torchvision")
    monkeypatch.setattr(torch_import, "_running", None)
    torch_import.start_importing()
    for _ in range(2):
        with pytest.raises(ImportError, match="try 1"):
            torch_import.finish_importing()
