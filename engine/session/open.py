"""Opening a session in stages: device, data, weights, calibration, warm-up.

Everything that can be wrong with the configuration is found here, before anything is trained.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
import torchvision
from torch import nn

import demo_data
from engine.data.batches import Decoder
from engine.data.conversion.range_sample import MeasuredRanges, measure_ranges
from engine.data.conversion.value_ranges import ranges_of
from engine.data.dataset.image_folder import list_folder
from engine.data.readability import check_readable
from engine.data.samples import DataProblem, ImageFolder
from engine.data.train_batches import TrainBatches
from engine.hardware import memory_limit
from engine.hardware.devices import ChosenDevice, choose_device
from engine.model import architectures, freezing, torchvision_models
from engine.model.architectures import ModelProblem, check_arch
from engine.model.batchnorm_calibration import calibrate
from engine.model.layer_stack import Stack
from engine.model.weights import Weights, choose_weights
from engine.session.calibration_images import calibration_images
from engine.session.context import SessionContext, make_context
from engine.training.cuda_graphs import CudaGraphs
from engine.training.feature_cache import FeatureCache
from engine.training.feature_store import memory_for_cache
from engine.training.trainer import Trainer
from engine.training.warm_up import warm_up
from tl_tui.common.errors import Problem
from tl_tui.protocol.config import Recipe, RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import LoadingProgressed, LoadingStage, Plan
from tl_tui.runs.journal_writer import check_run_dir, default_run_dir
from tl_tui.settings.defaults import defaults
from tl_tui.settings.plan import least_epochs, make_plan
from tl_tui.settings.recipe import check_recipe, recipe_of

DECODED_SHARE = 1 / 8
"""The share of the free memory that decoded images may take."""
DEMO_NAME = "hot dog"


def torch_versions() -> str:
    """Return the versions as text, such as `torch 2.14.1, torchvision 0.29.2`."""
    return f"torch {torch.__version__}, torchvision {torchvision.__version__}"


class _Stage:
    """Emits the beginning, the progress and the end of one stage, each with the seconds so far."""

    def __init__(self, stage: LoadingStage, emit: Callable[[AnyEvent], None]) -> None:
        self.stage = stage
        self.emit = emit
        self.began = time.perf_counter()
        self.progress("")

    def progress(self, detail: str) -> None:
        self._emit(False, detail)

    def done(self, detail: str) -> None:
        self._emit(True, detail)

    def _emit(self, done: bool, detail: str) -> None:
        self.emit(
            LoadingProgressed(
                stage=self.stage,
                done=done,
                detail=detail,
                seconds=time.perf_counter() - self.began,
            )
        )


def open_session(
    config: RunConfig, emit: Callable[[AnyEvent], None], *, resumed: dict[str, Any] | None = None
) -> Iterator[SessionContext | None]:
    """Open a session, one stage per unit of work.

    Args:
        config: The requested configuration.
        emit: Called with every event, in order.
        resumed: The content of `config.json` if the run directory holds this run already.

    Yields:
        None between two stages, and at last the context of the session.

    Raises:
        Problem: the session cannot be opened with this configuration.
    """
    _check_numbers(config)
    check_arch(config.arch)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    device = choose_device(config.device)
    run_dir = Path(config.run_dir) if config.run_dir else default_run_dir(config.arch)
    if resumed is None:
        check_run_dir(run_dir)
    yield None

    stage = _Stage("data", emit)
    demo = config.data is None and config.labels is None
    labels = Path(config.labels) if config.labels else None
    root = Path(config.data) if config.data is not None else labels.parent if labels else None
    listing = list_folder(
        demo_data.images_dir() if root is None else root,
        labels=labels,
        columns=config.columns,
        name=DEMO_NAME if demo else None,
        seed=config.seed,
        rules=config.image_rules,
    )
    for listed in listing:
        if isinstance(listed, ImageFolder):
            folder = listed
        else:
            stage.progress(f"{listed:,} images")
            yield None
    if not config.describe_only:
        for checked in check_readable(folder):
            if isinstance(checked, ImageFolder):
                folder = checked
            else:
                stage.progress(f"{checked:,} images checked")
                yield None
    train, val = folder.readable(folder.train), folder.readable(folder.val)
    measured = MeasuredRanges(ranges_of(resumed or {}))
    if resumed is None and not config.describe_only:
        for unit in measure_ranges(train, config.seed):
            measured = unit or measured
            yield None
    stage.done(f"{len(train)} + {len(val)} images, {len(folder.classes)} classes")
    yield None

    stage = _Stage("weights", emit)
    weights = choose_weights(
        config.arch, config.weights, embedded_demo=demo, progress=stage.progress
    )
    table = defaults(pretrained=weights.pretrained, accelerator=device.accelerator)
    recipe = recipe_of(config, table)
    check_recipe(recipe)
    if recipe.precision not in device.precisions:
        raise Problem(
            f"--precision {recipe.precision}: {device.label} does not support it; "
            "leave the option out."
        )
    wanted_size = config.image_size or (None if weights.transforms else table.image_size)
    if architectures.fixed_image_size(config.arch) and (
        weights.pretrained or not config.image_size
    ):
        wanted_size = None  # position embeddings are learnt for one size
    uses_graphs = _uses_cuda_graphs(config, device)
    make_transform, image_size = torchvision_models.transform_for(weights, wanted_size)
    if config.image_size and image_size != config.image_size:
        raise ModelProblem(
            f"--image-size {config.image_size}: with these weights, {config.arch} takes only "
            f"{image_size}; leave the option out."
        )
    batch_size = config.batch_size or min(table.batch_size, len(train))
    if batch_size > len(folder.train):
        raise DataProblem(
            f"--batch-size {batch_size}: there are only {len(folder.train)} training images; "
            f"use at most {len(folder.train)}."
        )
    built = torchvision_models.build(
        config.arch,
        weights,
        num_classes=len(folder.classes),
        image_size=image_size,
        seed=config.seed,
    )
    model = built.model.to(device.device)
    if config.memory_format == "channels-last":
        model.to(memory_format=torch.channels_last)
    stack = _make_stack(config.arch, model, built.head, image_size, device)
    wanted, strategy = _initial_mask(stack, config, table.strategy)
    from_top = freezing.masks_from_top(stack)
    if config.plan is not None and config.epochs is None:
        least = least_epochs(config.plan, from_top, config.plan_epochs)
        recipe = msgspec.structs.replace(recipe, epochs=max(recipe.epochs, least))
    stage.done(weights.label)
    yield None

    preset = make_transform()
    decoder = Decoder(
        preset,
        threads=min(8, (os.cpu_count() or 2) + 2),
        keep=int(memory_limit.memory().free * DECODED_SHARE),
        ranges=measured.ranges,
    )
    notes = list(measured.notes)
    if weights.why:
        notes.append(f"Starting from {_weights_text(weights)}: {weights.why}.")
    if weights.note:
        notes.append(weights.note)
    has_statistics = any(owner.keeps_statistics for owner in stack.owners)
    if has_statistics and not weights.pretrained and not config.describe_only:
        stage = _Stage("calibration", emit)
        images = calibration_images(
            folder.train, batch_size, config.seed, decoder, device.device, folder.unreadable
        )
        count = calibrate(model, images)
        sentence = f"BatchNorm statistics estimated from {count} training images"
        stage.done(sentence)
        notes.append(f"{sentence}, because the weights are random.")
        yield None
    if _uses_v2_features(weights, strategy):
        notes.append(
            "These V2 weights are worse as fixed features than V1 (vision#8382); "
            "for feature extraction, try --weights IMAGENET1K_V1."
        )

    notes += _classes_without_validation(folder)
    batches = TrainBatches(folder.train, batch_size, config.seed, decoder, folder.unreadable)
    if not config.describe_only:
        stage = _Stage("warm-up", emit)
        yield None
        shape = (batch_size, 3, image_size, image_size)
        stage.done(warm_up(model, stack, wanted, device, shape))
        yield None

    torch.manual_seed(config.seed)  # so that dropout does not depend on how the model was built
    features = FeatureCache(
        stack,
        decoder,
        device.device,
        images=len(folder.train) + len(folder.val),
        image_size=image_size,
        memory=partial(memory_for_cache, device.device, config.feature_cache_gib),
        folder=run_dir / "features",
        half=config.feature_cache == "half",
    )
    trainer = Trainer(stack, batches, device.device, recipe, features)
    if uses_graphs:
        trainer.cuda_graphs = CudaGraphs(trainer.probe, device.device)
    trainer.set_recipe(recipe)
    plan = _make_plan(config, from_top, recipe, batches.batches_per_epoch)
    if plan is not None:
        wanted, strategy = frozenset(plan.phases[0].trainable), None
    yield make_context(
        config=config,
        device=device,
        folder=folder,
        weights=weights,
        stack=stack,
        trainer=trainer,
        decoder=decoder,
        preset=preset,
        from_top=from_top,
        plan=plan,
        wanted=wanted,
        strategy=strategy,
        image_size=image_size,
        run_dir=run_dir,
        notes=notes,
    )


def _uses_cuda_graphs(config: RunConfig, device: ChosenDevice) -> bool:
    """Return whether steps are to be replayed from CUDA graphs."""
    cuda = device.device.type == "cuda"
    if config.execution == "captured" and not cuda:
        raise Problem(
            f"--execution captured: CUDA graphs need a CUDA device, and this is {device.label}; "
            "leave the option out."
        )
    return cuda and config.execution != "eager"


def _check_numbers(config: RunConfig) -> None:
    least = {
        "--batch-size": (config.batch_size, 2),
        "--image-size": (config.image_size, 32),
        "--probe-every": (config.probe_every, 1),
        "--checkpoint-every": (config.checkpoint_every, 1),
        "--seed": (config.seed, 0),
    }
    for option, (value, minimum) in least.items():
        if value is not None and value < minimum:
            raise Problem(f"{option} {value}: it must be at least {minimum}.")
    for name, number in (
        ("--checkpoint-seconds", config.checkpoint_seconds),
        ("--feature-cache-gib", config.feature_cache_gib or 0.0),
    ):
        if not 0 <= number < math.inf:
            raise Problem(f"{name} {number}: it must be a finite number, 0 or larger.")
    if config.lr is not None and not config.lr >= 0:
        raise Problem(f"--lr {config.lr}: it must be a number, 0 or larger.")


def _make_stack(
    arch: str, model: nn.Module, head: nn.Linear, image_size: int, device: ChosenDevice
) -> Stack:
    try:
        example = torch.zeros(1, 3, image_size, image_size, device=device.device)
        return Stack(model, example, head)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise ModelProblem(
                f"--image-size {image_size}: images of this size need more memory than there is; "
                "use a smaller one."
            ) from error
        least = _least_size(arch)
        raise ModelProblem(
            f"--image-size {image_size}: {arch} cannot take images of this size; "
            f"use {f'at least {least}' if least and least > image_size else 'another one'}."
        ) from error


def _least_size(arch: str) -> int | None:
    """Return the smallest image size that torchvision states for a model's weights, if any."""
    sizes = [e.meta.get("min_size") for e in torchvision.models.get_model_weights(arch)]
    known = [max(size) for size in sizes if size]
    return min(known) if known else None


def _initial_mask(
    stack: Stack, config: RunConfig, default_strategy: str
) -> tuple[freezing.Mask, str | None]:
    named = freezing.strategies(stack)
    if config.trainable is not None:
        if not any(config.trainable):
            raise Problem("--trainable: it is empty; name layers, such as layer4,fc.")
        return freezing.select(stack, config.trainable), None
    strategy = config.strategy or default_strategy
    if strategy not in named:
        raise Problem(f"--strategy {strategy}: choose one of {', '.join(named)}.")
    return named[strategy], strategy


def _make_plan(
    config: RunConfig,
    from_top: list[tuple[str, freezing.Mask]],
    recipe: Recipe,
    batches_per_epoch: int,
) -> Plan | None:
    if config.plan is None:
        return None
    plan = make_plan(
        config.plan,
        from_top,
        epochs=recipe.epochs,
        phase_epochs=config.plan_epochs,
        batches_per_epoch=batches_per_epoch,
        after_step=0,
    )
    last = plan.phases[-1]
    if config.steps is not None and config.steps <= last.after_step:
        raise Problem(
            f"--steps {config.steps}: the plan {plan.name} would not reach its phase {last.name}, "
            f"which begins after step {last.after_step}; set more steps, or --epochs instead."
        )
    return plan


def _classes_without_validation(folder: ImageFolder) -> list[str]:
    """Return a note if classes have no validation image; else nothing."""
    validated = {sample.label for sample in folder.readable(folder.val)}
    without = [name for label, name in enumerate(folder.classes) if label not in validated]
    if not without:
        return []
    names = ", ".join(without[:3]) + (f" and {len(without) - 3} more" if len(without) > 3 else "")
    return [f"No accuracy can be measured for {names}: there is no validation image."]


def _weights_text(weights: Weights) -> str:
    if not weights.pretrained:
        return "random weights"
    return f"the {weights.label}, no substitute for ImageNet weights"


def _uses_v2_features(weights: Weights, strategy: str | None) -> bool:
    return (
        strategy == "feature-extraction"
        and weights.entry is not None
        and weights.entry.name == "IMAGENET1K_V2"
    )
