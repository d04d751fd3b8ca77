"""A session that is ready: its parts, and what is told and written of them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
import torchvision
from torchvision.transforms._presets import ImageClassification

from engine.data.batches import Decoder
from engine.data.samples import ImageFolder, Sample, printable
from engine.data.splits import yardstick_of
from engine.hardware.devices import ChosenDevice
from engine.model import freezing, torchvision_models
from engine.model.layer_stack import Stack
from engine.model.torchvision_models import Weights
from engine.training.trainer import Trainer
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.session import Cycle, Plan, SessionOpened
from tl_tui.settings.recipe import choices_of


@dataclass
class SessionContext:
    """A session that is ready."""

    config: RunConfig
    event: SessionOpened
    folder: ImageFolder
    yardstick: tuple[Sample, ...]
    decoder: Decoder
    stack: Stack
    trainer: Trainer
    from_top: list[tuple[str, freezing.Mask]]
    """Masks that grow from the head to everything; plans are made of them."""
    preset: ImageClassification
    """The transform that belongs to the weights."""
    transform: dict[str, Any]
    """The same in plain types, as checkpoints carry it."""
    entry: str | None
    """The torchvision entry of the weights."""
    resolved: dict[str, Any]
    """Every choice that was made, for `config.json`."""

    def describe(self) -> dict[str, Any]:
        """Everything that `config.json` says."""
        return {**self.resolved, "images": self.images(), "config": self.pinned()}

    def images(self) -> dict[str, Any]:
        """How many images there are, and a hash of their names and labels, in their order."""
        return describe_images(self.folder)

    def pinned(self) -> dict[str, Any]:
        """The choices that open this session again, with nothing left to any default."""
        config, event, recipe = self.config, self.event, self.event.recipe
        absolute = {
            name: os.path.abspath(value)
            for name in ("data", "labels")
            if (value := getattr(config, name)) is not None
        }
        return msgspec.to_builtins(
            msgspec.structs.replace(
                config,
                **absolute,
                weights=self._weights(),
                strategy=event.strategy,
                batch_size=event.batch_size,
                image_size=event.image_size,
                **choices_of(recipe),
                run_dir=None,
            )
        )

    def _weights(self) -> str:
        """The weights it began from, as `--weights` takes them."""
        asked = self.config.weights
        if not self.event.pretrained:
            return "none"
        if asked in ("auto", "default", "demo"):
            return self.entry or "demo"
        return os.path.abspath(asked) if os.path.exists(asked) else asked


def describe_images(folder: ImageFolder) -> dict[str, Any]:
    """How many images there are, and a hash of their names and labels, in their order."""
    digest = hashlib.sha256()
    for sample in (*folder.train, *folder.val):
        name = "/".join(sample.path.rsplit("/", 2)[-2:])  # the folder may lie elsewhere
        digest.update(f"{sample.label}\0{printable(name)}\0".encode())
    return {
        "train": len(folder.train),
        "val": len(folder.val),
        "sha256": digest.hexdigest(),
    }


def make_context(
    *,
    config: RunConfig,
    device: ChosenDevice,
    folder: ImageFolder,
    weights: Weights,
    stack: Stack,
    trainer: Trainer,
    decoder: Decoder,
    preset: ImageClassification,
    from_top: list[tuple[str, freezing.Mask]],
    plan: Plan | None,
    wanted: freezing.Mask,
    strategy: str | None,
    image_size: int,
    run_dir: Path,
    notes: list[str],
) -> SessionContext:
    """The session from its parts, with the event that tells of it and its `config.json`."""
    described = stack.describe()
    majority = Counter(sample.label for sample in folder.val).most_common(1)[0]
    recipe, batches = trainer.recipe, trainer.batches
    horizon = config.steps or recipe.epochs * batches.batches_per_epoch
    if plan is not None:
        horizon = plan.phases[0].steps
    yardstick = yardstick_of(folder, config.seed)
    strategies = {name: tuple(sorted(m)) for name, m in freezing.strategies(stack).items()}
    event = SessionOpened(
        arch=config.arch,
        weights=weights.label,
        weights_why=weights.why,
        weights_cause=weights.cause,
        pretrained=weights.pretrained,
        data=folder.name,
        classes=folder.classes,
        train_images=len(folder.train),
        val_images=len(folder.val),
        chance=_chance(yardstick),
        majority_class=majority[0],
        majority=majority[1],
        yardstick=len(yardstick),
        device=device.label,
        device_warning=device.warning,
        memory_total=device.memory_total,
        image_size=image_size,
        batch_size=batches.batch_size,
        recipe=recipe,
        rates=trainer.rates,
        batches_per_epoch=batches.batches_per_epoch,
        cycle=Cycle(after_step=0, steps=horizon),
        plan=plan,
        precisions=device.precisions,
        seed=config.seed,
        run_dir=str(run_dir),
        stack=described,
        strategies=strategies,
        strategy=strategy,
        wanted=tuple(sorted(wanted)),
        norm_modes={},
        start=0,
        step=0,
        skipped_images=0,
        notes=tuple(notes),
    )
    resolved = {
        "arch": config.arch,
        "weights": weights.label,
        "weights_why": weights.why,
        "data": config.data,
        "classes": list(folder.classes),
        "device": device.label,
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "threads": torch.get_num_threads(),
        "deterministic": config.deterministic,
        "recipe": msgspec.structs.asdict(recipe),
        "plan": msgspec.to_builtins(plan),
        "labels": config.labels,
        "batch_size": batches.batch_size,
        "image_size": image_size,
        "seed": config.seed,
        "probe_every": config.probe_every,
        "execution": "eager" if trainer.cuda_graphs is None else "captured",
        "memory_format": config.memory_format,
        "feature_cache": config.feature_cache,
    }
    return SessionContext(
        config=config,
        event=event,
        folder=folder,
        yardstick=yardstick,
        decoder=decoder,
        stack=stack,
        trainer=trainer,
        from_top=from_top,
        preset=preset,
        transform=torchvision_models.describe_transform(preset),
        entry=weights.entry.name if weights.entry is not None else None,
        resolved=resolved,
    )


def _chance(samples: tuple[Sample, ...]) -> float:
    """Accuracy of guessing the most frequent class."""
    return Counter(sample.label for sample in samples).most_common(1)[0][1] / len(samples)
