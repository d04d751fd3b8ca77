"""The errand that writes a script, and what has to lie beside it; every file whole or not there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

import demo_data
from engine.export.script.facts import Phase, RunFacts, has_schedule
from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ExportScript
from tl_tui.protocol.config import Recipe, RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ScriptWritten
from tl_tui.runs.run_reader import FIRST_FORMAT, find_run, is_written, read_config
from tl_tui.runs.settings_history import History, read_history


class ExportError(Problem):
    """The run cannot be written as a script; the text says why and what to do."""


def export_script(command: ExportScript) -> Iterator[AnyEvent | None]:
    """Write a run as a script; a unit at a time.

    Raises:
        Problem: there is no such run, it cannot be written as a script, or the file is there.
    """
    path, target = find_run(command.run), Path(command.path)
    about = read_config(path)
    if about["format"] < FIRST_FORMAT:
        raise ExportError(
            f"{path} was written by an earlier tl-tui (format {about['format']}), which did not "
            "keep what a script needs."
        )
    if is_written(path):
        raise ExportError(f"{path} is open in an engine; export it when that has ended.")
    _check_target(target, force=command.force)
    config = msgspec.convert(about["config"], RunConfig)
    if command.data is not None:
        config = msgspec.structs.replace(config, data=os.path.abspath(command.data))
    yield None
    yield from _write(path, about, config, target)


def _check_target(target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise ExportError(f"-o {target}: it is a folder; name a file in it, such as train.py.")
    if target.suffix != ".py":
        raise ExportError(f"-o {target}: a script ends in .py; name it so.")
    if not target.parent.is_dir():
        raise ExportError(f"-o {target}: there is no folder {target.parent}; make it first.")
    if target.exists() and not force:
        raise ExportError(f"-o {target}: it is there already; --force writes over it.")


def _write(
    path: Path, about: dict[str, Any], config: RunConfig, target: Path
) -> Iterator[AnyEvent | None]:
    import torch

    from engine.data.batches import Decoder, TrainBatches
    from engine.data.image_folder import list_folder
    from engine.data.samples import ImageFolder, printable
    from engine.export.script.data_section import data_section, image_facts
    from engine.export.script.model_facts import backbone, model_facts, weights_of
    from engine.export.script.script import script_text
    from engine.model import torchvision_models
    from engine.session.calibration_images import CALIBRATION_IMAGES

    root = config.data or (
        os.path.dirname(config.labels) if config.labels else str(demo_data.images_dir())
    )
    labels = Path(config.labels) if config.labels else None
    for found in list_folder(Path(root), labels=labels, seed=config.seed):
        if isinstance(found, ImageFolder):
            folder = found
        yield None
    _check_images(folder, about, root)
    looking = image_facts(folder)
    while (images := next(looking)) is None:
        yield None
    if images.unusual:
        raise ExportError(
            f"{images.unusual} is an image that takes more than a few lines to read as the run "
            "did; a script cannot be written for this folder."
        )
    batch_size = about["batch_size"]
    decoder = Decoder(lambda image: torch.empty(0), threads=1)
    per_epoch = TrainBatches(folder.train, batch_size, config.seed, decoder).batches_per_epoch
    decoder.close()
    history = read_history(path, about, per_epoch)
    start = history.start
    random = start.weights == "random"
    weights = weights_of(config)
    yield None
    image_size = about["image_size"]
    built = torchvision_models.build(
        config.arch,
        torchvision_models.Weights("random", "", None, None) if random else weights,
        num_classes=len(folder.classes),
        image_size=image_size,
        seed=config.seed,
    )
    yield None
    from_entry = not random and weights.state is None and weights.entry is not None
    model = model_facts(config, weights, built, start, image_size=image_size, from_entry=from_entry)
    _check_phases(model.phases)
    data = data_section(folder, root, config.labels, config.seed, f"{target.stem}.images.csv")
    unreadable = [
        os.path.abspath(sample.path)
        for sample in (*folder.train, *folder.val)
        if _tail(printable(sample.path)) in {_tail(name) for name in history.skipped}
    ]
    facts = RunFacts(
        script=target.name,
        name=path.resolve().name,
        version=about.get("tl_tui", __version__),
        date=time.strftime("%d %B %Y", time.localtime((path / "config.json").stat().st_mtime)),
        device=about["device"].split()[0].split(":")[0],
        memory_format=config.memory_format,
        deterministic=about["deterministic"],
        seed=config.seed,
        classes=folder.classes,
        batch_size=batch_size,
        train_images=len(folder.train),
        batches_per_epoch=per_epoch,
        steps=start.steps,
        starts=history.starts,
        random_weights=random,
        weights_file="" if random or from_entry else f"{target.stem}.weights.pth",
        listing_file=f"{target.stem}.images.csv",
        images=images,
        unreadable=unreadable,
        model=model,
        calibration_batches=max(1, min(CALIBRATION_IMAGES, len(folder.train)) // batch_size),
        notes=_notes(history, about, demo=config.data is None and labels is None),
    )
    text = script_text(facts, data)
    beside = []
    if facts.weights_file:
        beside.append(target.with_name(facts.weights_file))
        _put(beside[-1], lambda part: torch.save(backbone(built), part))
    if data.listing:
        beside.append(target.with_name(facts.listing_file))
        listed = data.listing.encode("utf-8", "surrogateescape")
        _put(beside[-1], lambda part: part.write_bytes(listed))
    _put(target, lambda part: part.write_text(text, encoding="utf-8"))
    yield ScriptWritten(
        path=str(target),
        lines=text.count("\n"),
        steps=start.steps,
        extra_files=tuple(map(str, beside)),
        notes=tuple(facts.notes),
    )


def _tail(path: str) -> str:
    """What of a path stays when the folder is moved."""
    return "/".join(path.rsplit("/", 2)[-2:])


def _check_images(folder: Any, about: dict[str, Any], root: str) -> None:
    from engine.session.context import describe_images

    before, now = about.get("images"), describe_images(folder)
    if list(folder.classes) != about["classes"]:
        raise ExportError(f"{root} has other classes now than the run was trained on.")
    if before and before != now:
        raise ExportError(
            f"The images in {root} are not those of the run ({before['train']:,} + "
            f"{before['val']:,} then, {now['train']:,} + {now['val']:,} now, or other names), so a "
            "script could not train the same; name the run's own folder with --data."
        )


def _check_phases(phases: list[Phase]) -> None:
    """Refuse what would need more than one way of doing a thing in one script."""

    def kinds(value: Callable[[Recipe], Any]) -> int:
        return len({value(phase.recipe) for phase in phases})

    changed = ""
    if kinds(lambda recipe: recipe.balance) > 1:
        changed = "whether classes are balanced"
    elif len({p.recipe.augmentation for p in phases} - {"none"}) > 1:
        changed = "from one augmentation to another"
    elif any(has_schedule(p.recipe) for p in phases) and (
        kinds(lambda recipe: (recipe.schedule, recipe.warmup)) > 1
    ):
        changed = "the schedule of the learning rates"
    if changed:
        raise ExportError(
            f"This run changed {changed} on its way, which is not written as a script yet; "
            "its model can be exported with --model."
        )


def _notes(history: History, about: dict[str, Any], *, demo: bool) -> list[str]:
    notes = []
    if demo:
        notes.append("Its images are the demo images of tl-tui, where they were installed.")
    if history.starts > 1:
        notes.append(
            f"The run was started over; this is the last of its {history.starts} starts, and steps "
            "are counted from there."
        )
    if about["device"] != "cpu" and not about["deterministic"]:
        notes.append(
            "It was trained on a GPU, where sums are not always taken in the same order: losses "
            "agree to several digits at first, and drift apart from there."
        )
    return notes


def _put(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside its place, and then put it there."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch.save raises the latter
        part.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise ExportError(f"{path} cannot be written ({reason}).") from error
