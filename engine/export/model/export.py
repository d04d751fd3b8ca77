"""`tl-tui export --model`: export the model of a run as files that do not need tl-tui.

Each file is first written to a temporary folder and loaded again with torchvision or onnxruntime.
It is only kept if its outputs agree with those of the run's model on real images.
"""

from __future__ import annotations

import glob
import io
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import demo_data
from engine.data.dataset.image_folder import list_folder
from engine.data.samples import ImageFolder
from engine.export.model import onnx
from engine.export.model.card import (
    MODEL_JSON,
    README,
    describe_model,
    file_metadata,
    readme,
)
from engine.export.model.temperature import fit_on_validation_images, temperature_entry
from engine.jobs.inference import compute_logits, load_checked_model, make_decoder
from engine.jobs.load import TrainedModel
from tl_tui.common import json_codec
from tl_tui.common.errors import Problem, write_remedy
from tl_tui.protocol.commands import ExportModel
from tl_tui.protocol.config import ModelFormat
from tl_tui.protocol.inference import ModelExported, ModelFileChecked
from tl_tui.runs.run_reader import read_config

FILES: dict[ModelFormat, str] = {
    "safetensors": "model.safetensors",
    "pth": "model.pth",
    "onnx": "model.onnx",
}
MAX_IMAGES = 16
"""The number of images on which a file is compared."""
TOLERANCE = 1e-4
"""The largest accepted difference between outputs, relative to the largest output or 1. A float32
operation rounds by about 1e-7, and onnxruntime adds in a different order."""

ModelFunction = Callable[[Tensor], Tensor]
"""A function from images [N, 3, size, size] to logits [N, classes]."""


@dataclass(frozen=True)
class _Reference:
    """Images and the outputs of the run's model, with which the exported files are compared."""

    batches: tuple[tuple[Tensor, Tensor], ...]
    """Pairs of images and logits: a batch of one image, and a batch of all. A file must accept
    any batch size; with the same size, the sums are taken in the same order."""
    description: str
    """Which images they are, such as `12 validation images of flowers`."""

    @property
    def images(self) -> Tensor:
        """All images, [N, 3, size, size]."""
        return self.batches[-1][0]

    @property
    def largest(self) -> float:
        """The largest absolute value of the outputs."""
        return max(float(expected.abs().max()) for _, expected in self.batches)


def export_model(command: ExportModel) -> Iterator[ModelFileChecked | ModelExported | None]:
    """Export the model of a run, one file per unit of work.

    Args:
        command: The run, its checkpoint, the folder and the formats.

    Yields:
        The comparison of each file, and at last the names of all files; None after other units.

    Raises:
        Problem: there is no such run, the folder cannot be written or holds files, a package is
            not installed, or the outputs of a file differ from those of the model.
    """
    folder = Path(command.folder).absolute()
    _check_folder(command, folder)
    formats, notes = _choose_formats(command)
    trained = load_checked_model(command.run, command.checkpoint, torch.device("cpu"))
    yield None
    reference = yield from _make_reference(trained)
    file_names = [FILES[kind] for kind in formats]
    description = describe_model(trained, file_names, reference.description)
    temperature = None
    if command.temperature:
        images = yield from _list_run_images(trained)
        temperature = yield from fit_on_validation_images(trained, images)
        description["temperature"] = temperature_entry(temperature)
    _remove_stale_folders(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    checked: dict[ModelFormat, ModelFileChecked] = {}
    try:
        _call_writer(folder, lambda: temporary.mkdir(parents=True))
        for kind in formats:
            write = partial(_write_checked, kind, temporary, trained, description, reference)
            checked[kind] = _call_writer(folder, write)
            yield checked[kind]
        description["files"] = {
            file.name: {"bytes": file.bytes, "largest_difference": file.max_difference}
            for file in checked.values()
        }
        texts = {MODEL_JSON: json_codec.dumps(description) + "\n", README: readme(description)}
        files = _call_writer(folder, lambda: _move_into_place(temporary, folder, texts))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    yield ModelExported(
        folder=command.folder,
        files=files,
        checkpoint=str(trained.checkpoint),
        step=trained.metadata["step"],
        notes=tuple(notes),
        temperature=temperature,
    )


# --- before anything is written -----------------------------------------------------------------


def _check_folder(command: ExportModel, folder: Path) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise Problem(f"--model {command.folder} is a file; choose a new folder.")
    if folder.is_dir() and any(folder.iterdir()) and not command.force:
        raise Problem(
            f"--model {command.folder} holds files already. Choose a new folder, or use --force to "
            "replace the model files in it."
        )


def _remove_stale_folders(folder: Path) -> None:
    """Remove the temporary folders of engines that were killed while they exported."""
    for path in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
        pid = path.name.removeprefix(f".{folder.name}.").removesuffix(".part")
        if pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only checks that the process exists
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _choose_formats(command: ExportModel) -> tuple[tuple[ModelFormat, ...], list[str]]:
    """Return the formats to write, and a note for each that is left out."""
    missing = onnx.missing()
    if command.formats is not None:
        if "onnx" in command.formats and missing:
            raise Problem(f"--format onnx: {missing}")
        return command.formats, []
    if missing:
        return ("safetensors", "pth"), [f"{FILES['onnx']} is left out: {missing}"]
    return tuple(FILES), []


def _call_writer(folder: Path, write: Callable[[], Any]) -> Any:
    """Call a function that writes files, and return what it returns.

    Raises:
        Problem: the files cannot be written.
    """
    try:
        return write()
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Problem(
            f"--model {folder} cannot be written ({reason}); {write_remedy(error, folder)}, or "
            "choose another folder."
        ) from error


# --- the reference ------------------------------------------------------------------------------


def _make_reference(trained: TrainedModel) -> Generator[None, None, _Reference]:
    """Return evenly spaced validation images of the run, or seeded noise if there are none."""
    images, description = torch.empty(0), ""
    try:
        folder = yield from _list_run_images(trained)
    except Problem:
        reason = "the images of the run were not found"
    else:
        samples = folder.val[:: max(1, len(folder.val) // MAX_IMAGES)][:MAX_IMAGES]
        decoder = make_decoder(trained)
        try:
            images = decoder.collect(samples, decoder.submit(samples), 0).images
        finally:
            decoder.close()
        plural = "" if len(images) == 1 else "s"
        description = f"{len(images)} validation image{plural} of {folder.name}"
        reason = "none of the run's validation images can be read"
    if not len(images):
        generator = torch.Generator().manual_seed(0)
        size = trained.image_size
        images = torch.randn(MAX_IMAGES, 3, size, size, generator=generator)
        description = f"{MAX_IMAGES} images of seeded noise, because {reason}"
    batches = [images[:count] for count in sorted({1, len(images)})]
    return _Reference(
        tuple((batch, compute_logits(trained, batch)) for batch in batches), description
    )


def _list_run_images(trained: TrainedModel) -> Generator[None, None, ImageFolder]:
    """Return the images that the run was trained on.

    Raises:
        Problem: they are not there any more, or the run does not record where they were.
    """
    config: dict[str, Any] = read_config(trained.run).get("config") or {}
    if not config:
        raise Problem("The run does not record what it was trained on.")
    labels = Path(config["labels"]) if config.get("labels") else None
    data = Path(config["data"]) if config.get("data") else labels.parent if labels else None
    listing = list_folder(
        data or demo_data.images_dir(),
        labels=labels,
        columns=config.get("columns"),
        seed=config.get("seed", 0),
        rules=config["image_rules"],
    )
    for item in listing:
        if isinstance(item, ImageFolder):
            return item
        yield
    raise AssertionError("the last item of a listing is its folder")


# --- writing and comparing ----------------------------------------------------------------------


def _write_checked(
    kind: ModelFormat,
    folder: Path,
    trained: TrainedModel,
    description: dict[str, Any],
    reference: _Reference,
) -> ModelFileChecked:
    """Write a file, load it again and compare its outputs with the reference.

    Raises:
        Problem: the outputs differ.
    """
    file = folder / FILES[kind]
    write, load = {
        "safetensors": (_write_safetensors, _load_safetensors),
        "pth": (_write_pth, _load_pth),
        "onnx": (onnx.write, lambda file, description: onnx.load(file)),
    }[kind]
    write(file, trained.model, reference.images, description)
    file.chmod(folder.stat().st_mode & 0o666)  # safetensors makes it readable only by the owner
    model = load(file, description)
    differences = []
    for images, expected in reference.batches:
        outputs = model(images)
        if outputs.shape != expected.shape:
            raise Problem(
                f"{file.name} gives outputs of shape {list(outputs.shape)} instead of "
                f"{list(expected.shape)}; nothing was exported."
            )
        differences.append((outputs - expected).abs().max())
    difference = float(torch.stack(differences).max())  # NaN if any is NaN, unlike Python's max
    if not difference <= TOLERANCE * max(1.0, reference.largest):
        raise Problem(
            f"The outputs of {file.name} differ from those of the run's model by up to "
            f"{difference:.2g} (on {reference.description}); nothing was exported."
        )
    return ModelFileChecked(
        name=file.name,
        bytes=file.stat().st_size,
        max_difference=difference,
        max_output=reference.largest,
        images=len(reference.images),
        compared_on=reference.description,
    )


def _plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return contiguous copies of a model's tensors, with floating-point ones as float32."""
    return {
        name: (value.float() if value.is_floating_point() else value)
        .detach()
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }


def _write_safetensors(
    file: Path, model: nn.Module, _: Tensor, description: dict[str, Any]
) -> None:
    save_file(_plain_state(model), file, {"format": "pt", **file_metadata(description)})


def _write_pth(file: Path, model: nn.Module, _: Tensor, description: dict[str, Any]) -> None:
    buffer = io.BytesIO()  # writing it ourselves raises OSError on a full disk; torch.save does not
    torch.save(_plain_state(model), buffer)
    file.write_bytes(buffer.getbuffer())


def _load_safetensors(file: Path, description: dict[str, Any]) -> ModelFunction:
    return _load_into_torchvision(load_file(file), description)


def _load_pth(file: Path, description: dict[str, Any]) -> ModelFunction:
    return _load_into_torchvision(torch.load(file, weights_only=True), description)


def _load_into_torchvision(state: dict[str, Tensor], description: dict[str, Any]) -> ModelFunction:
    """Load weights into a model that is built by torchvision, without tl-tui.

    Raises:
        Problem: torchvision's model has other tensors, for example because its head differs.
    """
    with torch.random.fork_rng(devices=[]):  # a session may be training in this process
        model = torchvision.models.get_model(
            description["arch"],
            num_classes=len(description["classes"]),
            **description["options"],
        )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise Problem(
            f"torchvision's {description['arch']} cannot load these weights ({reason[:200]}); "
            "nothing was exported."
        ) from error
    model.eval()

    def outputs(images: Tensor) -> Tensor:
        with torch.no_grad():
            return model(images)

    return outputs


def _move_into_place(temporary: Path, folder: Path, texts: dict[str, str]) -> tuple[str, ...]:
    """Write the texts, flush all files to disk and move them to the folder; return their names."""
    for name, text in texts.items():
        (temporary / name).write_text(text, encoding="utf-8")
    files = sorted(path.name for path in temporary.iterdir())
    for name in files:
        with open(temporary / name, "rb") as handle:
            os.fsync(handle.fileno())
    if not folder.exists():
        os.rename(temporary, folder)
        return tuple(files)
    for name in files:
        os.replace(temporary / name, folder / name)
    for name in {MODEL_JSON, README, *FILES.values()} - set(files):
        (folder / name).unlink(missing_ok=True)  # left from an earlier export
    return tuple(files)
