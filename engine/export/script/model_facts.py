"""What only torch knows of a run's model: which modules train, in which mode, at which rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model_weights
from torchvision.ops import StochasticDepth

from engine.export.script.facts import ModelFacts, Phase
from engine.model import freezing, torchvision_models
from engine.model.freezing import Mask
from engine.model.layer_stack import Stack
from engine.model.rows import RUNNING_NORMS
from engine.model.torchvision_models import BuiltModel, Weights
from tl_tui.protocol.config import RunConfig
from tl_tui.runs.settings_history import Start, StepSettings
from tl_tui.settings.recipe import base_rates


def entry_of(config: RunConfig) -> WeightsEnum | None:
    """The torchvision entry that a run began from, if it began from one."""
    entries = get_model_weights(config.arch)
    return next((entry for entry in entries if entry.name == config.weights), None)


def weights_of(config: RunConfig) -> Weights:
    """The weights of a run, read only where they are not torchvision's own.

    Raises:
        Problem: they are gone, or are no weights of this arch any more.
    """
    entry = entry_of(config)
    if entry is not None:
        return Weights(entry.name, "", entry, None)
    return torchvision_models.choose_weights(config.arch, config.weights, embedded_demo=False)


def backbone(built: BuiltModel) -> dict[str, Tensor]:
    """The starting weights, without the head, which is always new."""
    prefix = f"{built.head_name}."
    tensors = built.model.state_dict().items()
    return {name: tensor for name, tensor in tensors if not name.startswith(prefix)}


def model_facts(
    config: RunConfig,
    weights: Weights,
    built: BuiltModel,
    start: Start,
    *,
    image_size: int,
    from_entry: bool,
) -> ModelFacts:
    """The facts of a run's model.

    Args:
        config: What the session was opened with.
        weights: Of the session.
        built: The model, whatever its weights.
        start: What was done with it.
        image_size: Side of the images.
        from_entry: The start began from a torchvision entry, that of `weights`.
    """
    stack = Stack(built.model, torch.zeros(1, 3, image_size, image_size), built.head)
    parts = _Parts(stack)
    phases: list[Phase] = []
    for first, setting in start.phases:
        phase = parts.phase(first, setting)
        if not phases or not phase.same_as(phases[-1]):
            phases.append(phase)
    options: dict[str, Any] = {}
    if config.arch in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif torchvision_models.fixed_image_size(config.arch) and not from_entry:
        options = {"image_size": image_size}
    fixed = torchvision_models.fixed_image_size(config.arch) and weights.pretrained
    made, _ = torchvision_models.transform_for(weights, None if fixed else image_size)
    usual = torchvision_models.transform_for(weights, None)[0]
    whole = freezing.strategies(stack)["full"]
    returned: dict[int, list[str]] = {}
    for after, modules in start.restored:
        returned.setdefault(after, []).extend(modules)
    parameters = {name for name, _ in built.model.named_parameters()}
    everything = parts.rates(whole, dict.fromkeys((row.name for row in stack.rows), 1.0))
    return ModelFacts(
        arch=config.arch,
        options=options,
        enum=type(weights.entry).__name__ if from_entry else "",
        entry=weights.entry.name if from_entry and weights.entry else "",
        head=built.head_name,
        transform=torchvision_models.describe_transform(made()),
        usual_transform=torchvision_models.describe_transform(usual()),
        draws=any(_draws(module) for module in built.model.modules()),
        keeps_statistics=any(owner.keeps_statistics for owner in stack.owners),
        everything=tuple(everything),
        single_parameters=any(parameters & phase.trains.keys() for phase in phases),
        phases=phases,
        returned=returned,
    )


class _Parts:
    """Masks, rates and modes in the fewest names of modules."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.model: nn.Module = stack.model
        self.place = {owner.name: index for index, owner in enumerate(stack.owners)}

    def phase(self, first: int, setting: StepSettings) -> Phase:
        rows = self.stack.rows
        by_row = dict(setting.rates or ())
        if setting.rates is None:
            by_row = dict(
                zip((row.name for row in rows), base_rates(setting.recipe, rows), strict=True)
            )
        mask = freezing.select(self.stack, setting.trainable)
        trains = self.rates(mask, by_row)
        by_hand = {self.place[name]: mode for name, mode in setting.norm_modes}
        freezing.set_modes(self.stack, mask, by_hand)
        modes = {
            name: "train" if module.training else "eval"
            for name, module in self.model.named_modules()
            if _has_modes(module) and module.training != _within(name, trains)
        }
        return Phase(first, trains, modes, setting.recipe, setting.cycle)

    def rates(self, mask: Mask, by_row: Mapping[str, float]) -> dict[str, float]:
        """The rate of everything that trains, a name for as much as goes together."""
        freezing.set_modes(self.stack, mask, {})
        rates: dict[str, float] = {}
        for index in mask:
            owner = self.stack.owners[index]
            for name, _ in owner.module.named_parameters(prefix=owner.name, recurse=False):
                rates[name] = by_row[self.stack.rows[owner.row].name]
        return self._together(self.model, "", rates)

    def _together(self, module: nn.Module, path: str, rates: dict[str, float]) -> dict[str, float]:
        mine = {rates.get(name) for name, _ in module.named_parameters(prefix=path)}
        if not mine or mine == {None}:
            return {}
        trains = all(part.training for part in module.modules() if _has_modes(part))
        rate = next(iter(mine))
        if path and len(mine) == 1 and rate is not None and trains:
            return {path: rate}
        own = module.named_parameters(prefix=path, recurse=False)
        found = {name: rates[name] for name, _ in own if name in rates}
        for name, child in module.named_children():
            found |= self._together(child, f"{path}.{name}" if path else name, rates)
        return found


def _within(name: str, parts: Mapping[str, float]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _draws(module: nn.Module) -> bool:
    """It draws random numbers in train mode."""
    if isinstance(module, nn.MultiheadAttention):
        return module.dropout > 0
    return isinstance(module, (nn.modules.dropout._DropoutNd, StochasticDepth)) and module.p > 0


def _has_modes(module: nn.Module) -> bool:
    """It does another thing in eval mode than in train mode."""
    return _draws(module) or (
        isinstance(module, RUNNING_NORMS) and getattr(module, "running_mean", None) is not None
    )
