"""The context of an open session: its data, model and trainer, and the choices made for them."""

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
from engine.model.weights import Weights
from engine.training.trainer import Trainer
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.dataset import DatasetSummary
from tl_tui.protocol.session import Cycle, Plan, SessionOpened
from tl_tui.settings.recipe import choices_of


@dataclass
class SessionContext:
    """The parts of an open session."""

    config: RunConfig
    """The configuration that was requested."""
    event: SessionOpened
    """The event that describes the session to clients."""
    folder: ImageFolder
    yardstick: tuple[Sample, ...]
    """The fixed sample of validation images that is evaluated after single steps."""
    decoder: Decoder
    stack: Stack
    trainer: Trainer
    from_top: list[tuple[str, freezing.Mask]]
    """Masks from the head alone to the whole model, from which plans are made."""
    preset: ImageClassification
    """The transform that belongs to the weights."""
    transform: dict[str, Any]
    """The same transform in plain types, and the ranges of images with more than 8 bits per pixel,
    for checkpoints."""
    entry: str | None
    """The name of the weights in torchvision; None if they are not from torchvision."""
    resolved: dict[str, Any]
    """Every choice with the defaults filled in, for `config.json`."""

    def describe(self) -> dict[str, Any]:
        """Return the content of `config.json`."""
        return {
            **self.resolved,
            "images": describe_images(self.folder),
            "config": self.pinned_config(),
        }

    def pinned_config(self) -> dict[str, Any]:
        """Return the configuration that opens this session again, whatever the defaults are."""
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
                weights=self._weights_option(),
                strategy=event.strategy,
                batch_size=event.batch_size,
                image_size=event.image_size,
                **choices_of(recipe),
                run_dir=None,
            )
        )

    def _weights_option(self) -> str:
        """Return the value of `--weights` for the weights that the session began from."""
        requested = self.config.weights
        if not self.event.pretrained:
            return "none"
        if requested in ("auto", "default", "demo"):
            return self.entry or "demo"
        return os.path.abspath(requested) if os.path.exists(requested) else requested


def describe_images(folder: ImageFolder) -> dict[str, Any]:
    """Return the numbers of images, and a hash of their names and labels in order."""
    digest = hashlib.sha256()
    for sample in (*folder.train, *folder.val):
        name = "/".join(sample.path.rsplit("/", 2)[-2:])  # the data folder may be moved
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
    """Build the context from its parts, with the event and the content of `config.json`.

    Args:
        config: The configuration that was requested.
        device: The device to train on.
        folder: The images.
        weights: The weights to begin from.
        stack: The model's layers.
        trainer: The trainer, with its batches and recipe.
        decoder: Decodes the images.
        preset: The transform that belongs to the weights.
        from_top: Masks from the head alone to the whole model.
        plan: The plan to follow; None if there is none.
        wanted: The mask of the first step.
        strategy: The strategy with that mask; None if it was set by hand.
        image_size: Height and width of the model's input in pixels.
        run_dir: The run directory; it need not exist yet.
        notes: Sentences to show to the user.
    """
    described = stack.describe()
    train, val = folder.readable(folder.train), folder.readable(folder.val)
    majority = Counter(sample.label for sample in val or folder.val).most_common(1)[0]
    recipe, batches = trainer.recipe, trainer.batches
    horizon = config.steps or recipe.epochs * batches.batches_per_epoch
    if plan is not None:
        horizon = plan.phases[0].steps
    yardstick = yardstick_of(folder, config.seed)
    strategies = {name: tuple(sorted(m)) for name, m in freezing.strategies(stack).items()}
    event = SessionOpened(
        arch=config.arch,
        weights=weights.label,
        weights_reason=weights.why,
        weights_cause=weights.cause,
        pretrained=weights.pretrained,
        data=folder.name,
        classes=folder.classes,
        train_images=len(train),
        val_images=len(val),
        dataset=_summary(folder),
        chance=1 / len(folder.classes),
        majority_class=majority[0],
        majority=majority[1],
        yardstick=len(yardstick),
        yardstick_majority=_largest_class(yardstick),
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
        trainable=tuple(sorted(wanted)),
        norm_modes={},
        start=0,
        step=0,
        skipped_images=0,
        notes=tuple(notes),
    )
    ranges = {"ranges": decoder.ranges} if decoder.ranges else {}
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
        "columns": config.columns,
        "batch_size": batches.batch_size,
        "image_size": image_size,
        "seed": config.seed,
        "probe_every": config.probe_every,
        "execution": "eager" if trainer.cuda_graphs is None else "captured",
        "memory_format": config.memory_format,
        "feature_cache": config.feature_cache,
        **ranges,
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
        transform=torchvision_models.describe_transform(preset) | ranges,
        entry=weights.entry.name if weights.entry is not None else None,
        resolved=resolved,
    )


def _summary(folder: ImageFolder) -> DatasetSummary:
    train, val = (
        Counter(sample.label for sample in folder.readable(part))
        for part in (folder.train, folder.val)
    )
    labels = range(len(folder.classes))
    return DatasetSummary(
        train_counts=tuple(train[label] for label in labels),
        val_counts=tuple(val[label] for label in labels),
        validation=folder.validation,
        left_out=folder.left_out,
        findings=folder.findings,
    )


def _largest_class(samples: tuple[Sample, ...]) -> int:
    """Return the number of images of the most frequent class."""
    return Counter(sample.label for sample in samples).most_common(1)[0][1]
