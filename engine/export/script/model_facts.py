"""The facts of a run's model: which modules are trainable, in which mode, at which rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum, get_model_weights
from torchvision.ops import StochasticDepth

from engine.export.script.facts import ModelFacts, Phase
from engine.model import architectures, freezing, torchvision_models
from engine.model.freezing import Mask
from engine.model.layer_stack import Stack
from engine.model.rows import RUNNING_NORMS
from engine.model.torchvision_models import BuiltModel
from engine.model.weights import Weights, choose_weights
from tl_tui.protocol.config import RunConfig
from tl_tui.runs.settings_history import Start, StepSettings
from tl_tui.settings.recipe import base_rates


def entry_of(config: RunConfig) -> WeightsEnum | None:
    """Return the torchvision weights that a run started from; None for other weights."""
    entries = get_model_weights(config.arch)
    return next((entry for entry in entries if entry.name == config.weights), None)


def weights_of(config: RunConfig) -> Weights:
    """Return the weights of a run; the tensors are read only if they are not torchvision's.

    Raises:
        Problem: the weights file is missing or does not match the architecture.
    """
    entry = entry_of(config)
    if entry is not None:
        return Weights(entry.name, "", entry, None)
    return choose_weights(config.arch, config.weights, embedded_demo=False)


def backbone(built: BuiltModel) -> dict[str, Tensor]:
    """Return the initial weights without those of the head, which is always new."""
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
    """Return the facts of a run's model.

    Args:
        config: The configuration of the session.
        weights: The weights of the session.
        built: The model; its weights do not matter.
        start: The settings of each step.
        image_size: Height and width of the images in pixels.
        from_entry: Whether the start used the torchvision weights in `weights.entry`.
    """
    stack = Stack(built.model, torch.zeros(1, 3, image_size, image_size), built.head)
    names = _ModuleNames(stack)
    phases: list[Phase] = []
    for first, setting in start.phases:
        phase = names.phase(first, setting)
        if not phases or not phase.same_as(phases[-1]):
            phases.append(phase)
    options: dict[str, Any] = {}
    if config.arch in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif architectures.fixed_image_size(config.arch) and not from_entry:
        options = {"image_size": image_size}
    fixed = architectures.fixed_image_size(config.arch) and weights.pretrained
    transform, _ = torchvision_models.transform_for(weights, None if fixed else image_size)
    default_transform, _ = torchvision_models.transform_for(weights, None)
    full = freezing.strategies(stack)["full"]
    restored: dict[int, list[str]] = {}
    for after, modules in start.restored:
        restored.setdefault(after, []).extend(modules)
    parameters = {name for name, _ in built.model.named_parameters()}
    all_names = names.rates(full, dict.fromkeys((row.name for row in stack.rows), 1.0))
    return ModelFacts(
        arch=config.arch,
        options=options,
        enum=type(weights.entry).__name__ if from_entry else "",
        entry=weights.entry.name if from_entry and weights.entry else "",
        head=built.head_name,
        transform=torchvision_models.describe_transform(transform()),
        default_transform=torchvision_models.describe_transform(default_transform()),
        is_random=any(_is_random(module) for module in built.model.modules()),
        has_batchnorm=any(owner.keeps_statistics for owner in stack.owners),
        all_names=tuple(all_names),
        single_parameters=any(parameters & phase.trainable.keys() for phase in phases),
        phases=phases,
        restored=restored,
    )


class _ModuleNames:
    """Expresses masks, rates and modes with as few module names as possible."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.model: nn.Module = stack.model
        self.owner_index = {owner.name: index for index, owner in enumerate(stack.owners)}

    def phase(self, first: int, setting: StepSettings) -> Phase:
        """Return the phase that begins at step `first` with these settings."""
        rows = self.stack.rows
        by_row = dict(setting.rates or ())
        if setting.rates is None:
            by_row = dict(
                zip((row.name for row in rows), base_rates(setting.recipe, rows), strict=True)
            )
        mask = freezing.select(self.stack, setting.trainable)
        trainable = self.rates(mask, by_row)
        norm_modes = {self.owner_index[name]: mode for name, mode in setting.norm_modes}
        freezing.set_modes(self.stack, mask, norm_modes)
        modes = {
            name: "train" if module.training else "eval"
            for name, module in self.model.named_modules()
            if _depends_on_mode(module) and module.training != _is_within(name, trainable)
        }
        return Phase(first, trainable, modes, setting.recipe, setting.cycle)

    def rates(self, mask: Mask, by_row: Mapping[str, float]) -> dict[str, float]:
        """Return the rate of each trainable module or parameter, in as few names as possible."""
        freezing.set_modes(self.stack, mask, {})
        rates: dict[str, float] = {}
        for index in mask:
            owner = self.stack.owners[index]
            for name, _ in owner.module.named_parameters(prefix=owner.name, recurse=False):
                rates[name] = by_row[self.stack.rows[owner.row].name]
        return self._merge(self.model, "", rates)

    def _merge(self, module: nn.Module, path: str, rates: dict[str, float]) -> dict[str, float]:
        """Replace a module's parameter names by its own name if they all have the same rate."""
        module_rates = {rates.get(name) for name, _ in module.named_parameters(prefix=path)}
        if not module_rates or module_rates == {None}:
            return {}
        in_train_mode = all(
            submodule.training for submodule in module.modules() if _depends_on_mode(submodule)
        )
        rate = next(iter(module_rates))
        if path and len(module_rates) == 1 and rate is not None and in_train_mode:
            return {path: rate}
        own = module.named_parameters(prefix=path, recurse=False)
        merged = {name: rates[name] for name, _ in own if name in rates}
        for name, child in module.named_children():
            merged |= self._merge(child, f"{path}.{name}" if path else name, rates)
        return merged


def _is_within(name: str, modules: Mapping[str, float]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _is_random(module: nn.Module) -> bool:
    """Return whether a module draws random numbers in train mode."""
    if isinstance(module, nn.MultiheadAttention):
        return module.dropout > 0
    return isinstance(module, (nn.modules.dropout._DropoutNd, StochasticDepth)) and module.p > 0


def _depends_on_mode(module: nn.Module) -> bool:
    """Return whether a module behaves differently in train and eval mode."""
    return _is_random(module) or (
        isinstance(module, RUNNING_NORMS) and getattr(module, "running_mean", None) is not None
    )
