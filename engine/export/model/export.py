"""`tl-tui export --model`: a run's model as files that need no tl-tui.

Every file is loaded again by what will load it elsewhere, plain torchvision or onnxruntime, and
its outputs are compared with the run's model on real images, before it gets its place.
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
from engine.data.image_folder import list_folder
from engine.data.samples import ImageFolder
from engine.export.model import onnx
from engine.export.model.card import ABOUT, README, described, metadata, readme
from engine.jobs.inference import decoder_of, load_checked_model, logits
from engine.jobs.load import TrainedModel
from tl_tui.common import json_codec
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ExportModel
from tl_tui.protocol.config import ModelFormat
from tl_tui.protocol.inference import ModelExported, ModelFileChecked
from tl_tui.runs.run_reader import read_config

FILES: dict[ModelFormat, str] = {
    "safetensors": "model.safetensors",
    "pth": "model.pth",
    "onnx": "model.onnx",
}
IMAGES = 16
"""Images that a file is compared on, at most."""
TOLERANCE = 1e-4
"""The largest difference of an output that passes, beside the largest output or 1: float32 has
1e-7 an operation, and onnxruntime sums in another order."""

Outputs = Callable[[Tensor], Tensor]
"""From images [N, 3, size, size] to logits [N, classes]."""


@dataclass(frozen=True)
class _Compared:
    """What files are compared on."""

    parts: tuple[tuple[Tensor, Tensor], ...]
    """Images, and what the run's model says to them. All at once, and one alone: a file must take
    any number, and the same number sums in the same order."""
    what: str

    @property
    def images(self) -> Tensor:
        """All of them, [N, 3, size, size]."""
        return self.parts[-1][0]

    @property
    def largest(self) -> float:
        """The largest output, without its sign."""
        return max(float(expected.abs().max()) for _, expected in self.parts)


def export_model(command: ExportModel) -> Iterator[ModelFileChecked | ModelExported | None]:
    """Write the model of a run, a file a unit.

    Raises:
        Problem: there is no such run, the folder cannot be written or holds files, something that
            is needed is not installed, or a file gives other outputs than the model.
    """
    folder = Path(command.folder).absolute()
    _check_folder(command, folder)
    formats, notes = _formats(command)
    trained = load_checked_model(command.run, command.checkpoint, torch.device("cpu"))
    yield None
    compared = yield from _real_images(trained)
    about = described(trained, [FILES[kind] for kind in formats], compared.what)
    _remove_left_behind(folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    checked: dict[ModelFormat, ModelFileChecked] = {}
    try:
        _written(folder, lambda: part.mkdir(parents=True))
        for kind in formats:
            write = partial(_write_checked, kind, part, trained, about, compared)
            checked[kind] = _written(folder, write)
            yield checked[kind]
        about["files"] = {
            file.name: {"bytes": file.bytes, "largest_difference": file.max_difference}
            for file in checked.values()
        }
        texts = {ABOUT: json_codec.dumps(about) + "\n", README: readme(about)}
        files = _written(folder, lambda: _put_in_place(part, folder, texts))
    finally:
        shutil.rmtree(part, ignore_errors=True)
    yield ModelExported(
        folder=command.folder,
        files=files,
        checkpoint=str(trained.checkpoint),
        step=trained.about["step"],
        notes=tuple(notes),
    )


# --- before anything is written -----------------------------------------------------------------


def _check_folder(command: ExportModel, folder: Path) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise Problem(f"--model {command.folder} is a file; name a folder to be made.")
    if folder.is_dir() and any(folder.iterdir()) and not command.force:
        raise Problem(
            f"--model {command.folder}: it holds files already; name a new folder, or --force."
        )


def _remove_left_behind(folder: Path) -> None:
    """What engines that were killed had half written."""
    for path in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
        pid = path.name.removeprefix(f".{folder.name}.").removesuffix(".part")
        if pid.isdigit() and not _runs(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # no signal, only whether there is somebody
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _formats(command: ExportModel) -> tuple[tuple[ModelFormat, ...], list[str]]:
    """What is written, and what is not and why."""
    missing = onnx.missing()
    if command.formats is not None:
        if "onnx" in command.formats and missing:
            raise Problem(f"--format onnx: {missing}")
        return command.formats, []
    if missing:
        return ("safetensors", "pth"), [f"{FILES['onnx']} is left out: {missing}"]
    return tuple(FILES), []


def _written(folder: Path, write: Callable[[], Any]) -> Any:
    """What a function returns that writes files.

    Raises:
        Problem: they cannot be written.
    """
    try:
        return write()
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Problem(
            f"--model {folder} cannot be written ({reason}); make room or name another folder."
        ) from error


# --- what is compared on ------------------------------------------------------------------------


def _real_images(trained: TrainedModel) -> Generator[None, None, _Compared]:
    """Validation images of the run, spread over all of them; without any, seeded noise."""
    images, what = torch.empty(0), ""
    try:
        folder = yield from _own_images(trained)
    except Problem:
        reason = "its images are not there any more"
    else:
        samples = folder.val[:: max(1, len(folder.val) // IMAGES)][:IMAGES]
        decoder = decoder_of(trained)
        try:
            images = decoder.collect(samples, decoder.submit(samples), 0).images
        finally:
            decoder.close()
        what = f"{len(images)} validation image{'' if len(images) == 1 else 's'} of {folder.name}"
        reason = "none of its validation images can be read"
    if not len(images):
        generator = torch.Generator().manual_seed(0)
        size = trained.image_size
        images = torch.randn(IMAGES, 3, size, size, generator=generator)
        what = f"{IMAGES} images of seeded noise, because {reason}"
    parts = [images[:count] for count in sorted({1, len(images)})]
    return _Compared(tuple((part, logits(trained, part)) for part in parts), what)


def _own_images(trained: TrainedModel) -> Generator[None, None, ImageFolder]:
    """The images of the run, where it found them.

    Raises:
        Problem: they are not there any more, or the run does not say where they were.
    """
    config: dict[str, Any] = read_config(trained.run).get("config") or {}
    if not config:
        raise Problem("The run does not say what it was trained on.")
    labels = Path(config["labels"]) if config.get("labels") else None
    data = Path(config["data"]) if config.get("data") else labels.parent if labels else None
    listing = list_folder(data or demo_data.images_dir(), labels=labels, seed=config.get("seed", 0))
    for found in listing:
        if isinstance(found, ImageFolder):
            return found
        yield
    raise AssertionError("a listing ends with its folder")


# --- writing and comparing ----------------------------------------------------------------------


def _write_checked(
    kind: ModelFormat,
    part: Path,
    trained: TrainedModel,
    about: dict[str, Any],
    compared: _Compared,
) -> ModelFileChecked:
    file = part / FILES[kind]
    write, load = {
        "safetensors": (_write_safetensors, _load_safetensors),
        "pth": (_write_pth, _load_pth),
        "onnx": (onnx.write, lambda file, about: onnx.load(file)),
    }[kind]
    write(file, trained.model, compared.images, about)
    file.chmod(part.stat().st_mode & 0o666)  # safetensors makes it for the owner alone
    outputs = load(file, about)
    differences = []
    for images, expected in compared.parts:
        said = outputs(images)
        if said.shape != expected.shape:
            raise Problem(f"{file.name} gives {list(said.shape)} outputs; nothing was written.")
        differences.append((said - expected).abs().max())
    difference = float(torch.stack(differences).max())  # nan if any is, unlike Python's own
    if not difference <= TOLERANCE * max(1.0, compared.largest):
        raise Problem(
            f"{file.name} gives other outputs than the run's model (by up to {difference:.2g}, on "
            f"{compared.what}); nothing was written."
        )
    return ModelFileChecked(
        name=file.name,
        bytes=file.stat().st_size,
        max_difference=difference,
        max_output=compared.largest,
        images=len(compared.images),
        compared_on=compared.what,
    )


def _plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Contiguous copies that share nothing; numbers with a point as float32."""
    return {
        name: (value.float() if value.is_floating_point() else value)
        .detach()
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }


def _write_safetensors(file: Path, model: nn.Module, _: Tensor, about: dict[str, Any]) -> None:
    save_file(_plain_state(model), file, {"format": "pt", **metadata(about)})


def _write_pth(file: Path, model: nn.Module, _: Tensor, about: dict[str, Any]) -> None:
    whole = io.BytesIO()  # torch's own writer has errors of its own on a full disk
    torch.save(_plain_state(model), whole)
    file.write_bytes(whole.getbuffer())


def _load_safetensors(file: Path, about: dict[str, Any]) -> Outputs:
    return _plain_model(load_file(file), about)


def _load_pth(file: Path, about: dict[str, Any]) -> Outputs:
    return _plain_model(torch.load(file, weights_only=True), about)


def _plain_model(state: dict[str, Tensor], about: dict[str, Any]) -> Outputs:
    """A model of torchvision alone with these weights.

    Raises:
        Problem: torchvision's model has other tensors, as with a head of its own kind.
    """
    with torch.random.fork_rng(devices=[]):  # a session may train in this process
        model = torchvision.models.get_model(
            about["arch"], num_classes=len(about["classes"]), **about["options"]
        )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise Problem(
            f"torchvision's own {about['arch']} does not take these weights ({reason[:200]}); "
            "nothing was written."
        ) from error
    model.eval()

    def outputs(images: Tensor) -> Tensor:
        with torch.no_grad():
            return model(images)

    return outputs


def _put_in_place(part: Path, folder: Path, texts: dict[str, str]) -> tuple[str, ...]:
    """Onto the disk, and then under their names; returns these."""
    for name, text in texts.items():
        (part / name).write_text(text, encoding="utf-8")
    files = sorted(path.name for path in part.iterdir())
    for name in files:
        with open(part / name, "rb") as handle:
            os.fsync(handle.fileno())
    if not folder.exists():
        os.rename(part, folder)
        return tuple(files)
    for name in files:
        os.replace(part / name, folder / name)
    for name in {ABOUT, README, *FILES.values()} - set(files):
        (folder / name).unlink(missing_ok=True)  # of another model than the ones beside it
    return tuple(files)
