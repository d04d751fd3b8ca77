"""A torchvision model with its pretrained weights and a new head, and where the weights come from.

The recipe: build the model with its weights, then replace the last linear layer by a new one with
as many outputs as the data has classes; its parameters require a gradient by default. Weights are
loaded here and not by torchvision, which unpickles whatever lies in the cache and does not look at
its hash: here the hash is checked and only tensors are read.
"""

from __future__ import annotations

import difflib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.transforms._presets import ImageClassification

from engine.model import demo_weights, weights_download
from tl_tui.common.errors import Problem

DOWNLOAD_SECONDS = 600.0
"""Wall-clock limit of a download; name look-ups ignore the socket's own."""
COUNTERS = "num_batches_tracked"
"""What files of before 2018 lack of BatchNorms."""


class ModelProblem(Problem):
    """The model cannot be built as asked; the text says why and what to do."""


class WeightsMissing(ModelProblem):
    """The weights wanted are not at hand; the user has to choose others or bring them."""

    def __init__(self, sentence: str, short: str, cause: str, choices: tuple[str, ...]) -> None:
        """
        Args:
            sentence: What is missing, where to put it, what else can be done.
            short: The same as a reason, for where another start was taken.
            cause: Why the download failed, in a few words.
            choices: Values for `--weights` that would work.
        """
        super().__init__(sentence)
        self.short = short
        self.cause = cause
        self.choices = choices


@dataclass
class Weights:
    """What a model starts from."""

    label: str
    """Such as `ImageNet V1`, `random`, `file backbone.pth`."""
    why: str
    """Why these, in a sentence, if they are not plainly what was asked for."""
    entry: WeightsEnum | None
    """The torchvision entry, for its transforms; None for random weights and files."""
    state: dict[str, Tensor] | None
    """None is random."""
    transforms: partial | None = None
    """Makes the transform that belongs to them, where there is no torchvision entry."""
    cause: str = ""
    """Why the requested weights could not be downloaded, in a few words."""

    @property
    def pretrained(self) -> bool:
        return self.state is not None


@dataclass
class BuiltModel:
    model: nn.Module
    head: nn.Linear
    head_name: str


# --- which weights ------------------------------------------------------------------------------


def check_arch(arch: str) -> None:
    """Refuse a name that torchvision has no classification model for.

    Raises:
        ModelProblem: with near matches.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if arch not in known:
        near = difflib.get_close_matches(arch, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "resnet18, for one, is known."
        raise ModelProblem(f"--arch {arch}: torchvision has no such model; {hint}")


def choose_weights(
    arch: str,
    asked: str,
    *,
    embedded_demo: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> Weights:
    """The weights to start from.

    Args:
        arch: A torchvision classification model.
        asked: auto, default, demo, none, the name of an entry, or a file.
        embedded_demo: The data is the embedded demo; only there does auto fall back: to the demo
            backbone, which is for one arch, else to random weights.
        progress: Told what is going on, in a few words.

    Raises:
        WeightsMissing: they would have to be downloaded and cannot be.
        ModelProblem: no such entry; the file is damaged, no weights, or another arch's.
    """
    check_arch(arch)
    if asked == "none":
        return Weights("random", "", None, None)
    if asked == "demo":
        return _demo(arch)
    entries = torchvision.models.get_model_weights(arch)
    names = [entry.name for entry in entries]
    if asked in ("auto", "default"):
        try:
            return _from_torchvision(arch, entries["DEFAULT"], progress)
        except WeightsMissing as missing:
            if asked == "auto" and embedded_demo:
                if demo_weights.fits_demo_weights(arch):
                    return _demo(arch, missing.short, missing.cause)
                return Weights("random", missing.short, None, None, cause=missing.cause)
            raise
    if asked in names or asked.upper() in names:
        return _from_torchvision(arch, entries[asked.upper()], progress)
    if Path(asked).exists() or Path(asked).suffix in (".pth", ".pt", ".safetensors", ".bin"):
        return _from_file(arch, Path(asked))
    near = difflib.get_close_matches(asked.upper(), names, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"{arch} has {', '.join(names)}."
    raise ModelProblem(f"--weights {asked}: neither a file nor an entry of {arch}; {hint}")


def _demo(arch: str, why: str = "", cause: str = "") -> Weights:
    """Return the backbone that comes with tl-tui; `why` it is used, if it was not requested."""
    if arch != demo_weights.ARCH:
        raise ModelProblem(
            f"--weights demo: the demo backbone is a {demo_weights.ARCH} and cannot be used for "
            f"{arch}; use --weights none, default, or a file."
        )
    path = demo_weights.demo_weights_path()
    if not path.is_file():
        raise ModelProblem(
            f"--weights demo: no demo weights are shipped with this version ({path.name} is not "
            "there); use --weights none, default, or a file."
        )
    state = _read_state(path)
    transforms = demo_weights.demo_transforms(path)
    return Weights(demo_weights.LABEL, why, None, state, transforms, cause)


def _from_torchvision(arch: str, entry: WeightsEnum, progress: Callable[[str], None]) -> Weights:
    """An entry from torchvision's cache, else downloaded there."""
    file = weights_download.weights_file_of(entry)
    path = weights_download.cached_path(file.name)
    if not path.exists():
        try:
            weights_download.download(file, limit_s=DOWNLOAD_SECONDS, progress=progress)
        except weights_download.DownloadFailed as error:
            choices = ("demo", "none") if demo_weights.fits_demo_weights(arch) else ("none",)
            options = ", ".join(f"--weights {choice}" for choice in choices)
            raise WeightsMissing(
                f"The weights {entry.name} ({file.name}) are not in {path.parent} and cannot be "
                f"downloaded: {error}. Put the file there, or use {options}, or a file.",
                f"no ImageNet weights: {file.name} is not in {path.parent} and cannot be "
                f"downloaded ({error})",
                str(error),
                choices,
            ) from error
    if not weights_download.verify(path, file.hash_prefix):
        raise ModelProblem(
            f"{path} is damaged: its hash is not the one in its name; "
            "remove it, or let `tl-tui fetch` replace it."
        )
    return Weights(_label(entry), "", entry, _read_state(path))


def _label(entry: WeightsEnum) -> str:
    """`ImageNet V1` for IMAGENET1K_V1; other names as torchvision writes them."""
    return entry.name.replace("IMAGENET1K_", "ImageNet ")


def _from_file(arch: str, path: Path) -> Weights:
    if not path.is_file():
        raise ModelProblem(f"--weights {path}: there is no such file.")
    state = _read_state(path)
    entries = list(torchvision.models.get_model_weights(arch))
    reference = _outline(arch)
    head = _find_head(reference)[0]
    wanted = _body(reference, head)
    missing = [n for n in wanted if n not in state and not n.endswith(COUNTERS)]
    surplus = [n for n in state if n not in wanted and not n.startswith(f"{head}.")]
    wrong = [name for name in wanted if name in state and state[name].shape != wanted[name]]
    if missing or wrong or surplus:
        found = sum(name in state for name in wanted)
        example = (
            f"{missing[0]} is missing"
            if missing
            else f"{wrong[0]} has another shape"
            if wrong
            else f"{arch} has no {surplus[0]}"
        )
        raise ModelProblem(
            f"--weights {path}: these are not the weights of {arch} "
            f"({found} of {len(wanted)} tensors are there; {example}); name their --arch."
        )
    return Weights(f"file {path.name}", "", entries[0] if entries else None, state)


def _read_state(path: Path) -> dict[str, Tensor]:
    """A state dict from a file, tensors only.

    Raises:
        ModelProblem: it cannot be read as one.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle, zip and safetensors raise each their own
        if isinstance(error, pickle.UnpicklingError) and _would_run_code(str(error)):
            raise ModelProblem(
                f"--weights {path}: this file holds more than tensors, and loading it would run "
                "code; it is refused. Save the state dict alone, best as .safetensors."
            ) from None
        raise ModelProblem(
            f"--weights {path}: this cannot be read as weights (truncated, or not a state dict); "
            "it must be a .pth or .safetensors file of tensors."
        ) from error
    for key in ("state_dict", "model"):
        inner = state.get(key) if isinstance(state, dict) else None
        if isinstance(inner, dict):
            state = inner
    if isinstance(state, dict) and "random/cpu" in state:  # a checkpoint of tl-tui
        state = {
            name.removeprefix("model/"): value
            for name, value in state.items()
            if name.startswith("model/")
        }
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelProblem(f"--weights {path}: this is no state dict of tensors.")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _would_run_code(error: str) -> bool:
    """torch names the callable that a pickle wants to have called."""
    return "unsupported GLOBAL" in error or "reduce for unrecognized function" in error


# --- the model ----------------------------------------------------------------------------------


def build(
    arch: str, weights: Weights, *, num_classes: int, image_size: int | None, seed: int
) -> BuiltModel:
    """The model with its weights and a new head.

    Args:
        arch: A torchvision classification model.
        weights: What it starts from.
        num_classes: Outputs of the new head.
        image_size: Side of the images; only models with a fixed size (ViT) need it.
        seed: Set anew before the head is made, so that the head does not depend on how the rest
            came to be.

    Raises:
        ModelProblem: the model has no linear head to replace.
    """
    torch.manual_seed(seed)
    if weights.state is None:
        model = _build(arch, num_classes=1000, image_size=image_size)
    else:
        model = _built_for(arch, weights.state)
    name, old = _find_head(model)
    torch.manual_seed(seed)
    head = nn.Linear(old.in_features, num_classes)
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, head)
    return BuiltModel(model, head, name)


def _built_for(arch: str, state: dict[str, Tensor]) -> nn.Module:
    """The model with this state; random numbers are drawn only if the state lacks something
    besides the head, which is replaced."""
    model = _outline(arch)
    body = _body(model, _find_head(model)[0])
    kept = model.state_dict()
    lacking = any(
        (name not in state and not name.endswith(COUNTERS))
        or (name in state and state[name].shape != shape)
        for name, shape in body.items()
    )
    if lacking or any(name not in kept for name, _ in model.named_buffers()):
        model = _build(arch, num_classes=1000, image_size=None)
    elif any(parameter.is_meta for parameter in model.parameters()):
        model = model.to_empty(device="cpu")
        for name, value in model.named_buffers():
            if name not in state:
                value.zero_()
    _copy_what_fits(state, model)
    return model


def _outline(arch: str) -> nn.Module:
    """The model for its names and shapes: on the meta device, where nothing is drawn."""
    try:
        with torch.device("meta"):
            return _build(arch, num_classes=1000, image_size=None)
    except NotImplementedError:  # a RegNet computes its widths with tensors
        return _build(arch, num_classes=1000, image_size=None)


def _body(model: nn.Module, head: str) -> dict[str, torch.Size]:
    """Name and shape of everything in a state but the head."""
    return {
        name: value.shape
        for name, value in model.state_dict().items()
        if not name.startswith(f"{head}.")
    }


def _copy_what_fits(state: dict[str, Tensor], model: nn.Module) -> None:
    own = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            if name in own and own[name].shape == value.shape:
                own[name].copy_(value)  # upcasts half precision


def _build(arch: str, *, num_classes: int, image_size: int | None) -> nn.Module:
    options: dict[str, object] = {"num_classes": num_classes}
    if image_size is not None and fixed_image_size(arch):
        options["image_size"] = image_size
    if arch in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": True}
    return torchvision.models.get_model(arch, weights=None, **options)


def fixed_image_size(arch: str) -> bool:
    """The model takes images of one size only, chosen when it is built (ViT)."""
    return arch.startswith("vit_")


def _find_head(model: nn.Module) -> tuple[str, nn.Linear]:
    """The last linear layer: in ResNets `fc`."""
    linear = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise ModelProblem(
            f"{type(model).__name__} has no linear head to replace; choose another --arch."
        )
    return linear[-1]


def transform_for(weights: Weights, image_size: int | None) -> tuple[partial, int]:
    """The transform that belongs to the weights, at a size.

    Args:
        weights: Random weights and files take ImageNet's own normalisation.
        image_size: None is the size the weights were made for.

    Returns:
        A callable that makes the transform when called, and the side of its images.
    """
    made: partial = weights.transforms or (
        weights.entry.transforms if weights.entry else partial(ImageClassification, crop_size=224)
    )
    preset = made()
    crop = preset.crop_size[0]
    if image_size is None or image_size == crop:
        return made, crop
    # The margin around the crop keeps its proportion.
    resize = round(preset.resize_size[0] * image_size / crop)
    return partial(made, crop_size=image_size, resize_size=resize), image_size


def describe_transform(preset: ImageClassification) -> dict[str, object]:
    """A transform in plain types, for checkpoints and exports."""
    return {
        "resize_size": preset.resize_size[0],
        "crop_size": preset.crop_size[0],
        "interpolation": preset.interpolation.value,
        "antialias": preset.antialias,
        "mean": list(preset.mean),
        "std": list(preset.std),
    }
