"""The job that exports a run as a script: checks the run, collects the facts, writes the files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

import demo_data
from engine.export.script.facts import Phase, RunFacts, has_schedule
from engine.model.weights import Weights
from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ExportScript
from tl_tui.protocol.config import Recipe, RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ScriptWritten
from tl_tui.runs.run_reader import FIRST_FORMAT, find_run, is_written, read_config
from tl_tui.runs.settings_history import History, read_history

MOST_HEADERS = 20_000
"""The largest number of images of which the headers are read."""


class ExportError(Problem):
    """The run cannot be exported as a script."""


def export_script(command: ExportScript) -> Iterator[AnyEvent | None]:
    """Export a run as a script.

    Args:
        command: The run, the path of the script, and the image folder if it has moved.

    Yields:
        None after each unit of work, at last a `ScriptWritten`.

    Raises:
        Problem: there is no such run, it cannot be exported as a script, or the file exists.
    """
    path, target = find_run(command.run), Path(command.path)
    saved_config = read_config(path)
    if saved_config["format"] < FIRST_FORMAT:
        raise ExportError(
            f"{path} was written by an earlier tl-tui (format {saved_config['format']}), which did "
            "not record what a script needs."
        )
    if is_written(path):
        raise ExportError(f"{path} is still open in an engine. Export it after the engine ended.")
    _check_target(target, force=command.force)
    config = msgspec.convert(saved_config["config"], RunConfig)
    if command.data is not None:
        config = msgspec.structs.replace(config, data=os.path.abspath(command.data))
    yield None
    yield from _write(path, saved_config, config, target)


def _check_target(target: Path, *, force: bool) -> None:
    if target.is_dir():
        raise ExportError(f"-o {target} is a folder; name a file in it, such as train.py.")
    if target.suffix != ".py":
        raise ExportError(f"-o {target}: the name of a script ends in .py.")
    if not target.parent.is_dir():
        raise ExportError(f"-o {target}: there is no folder {target.parent}; create it first.")
    if target.exists() and not force:
        raise ExportError(f"-o {target} exists already; use --force to overwrite it.")


def _write(
    path: Path, saved_config: dict[str, Any], config: RunConfig, target: Path
) -> Iterator[AnyEvent | None]:
    import torch

    from engine.data.batch_order import BatchOrder
    from engine.data.conversion.value_ranges import ranges_of
    from engine.data.dataset.image_folder import list_folder
    from engine.data.samples import ImageFolder, printable
    from engine.export.script.data_section import data_section
    from engine.export.script.model_facts import backbone, model_facts, weights_of
    from engine.export.script.script import script_text
    from engine.model import torchvision_models
    from engine.session.calibration_images import CALIBRATION_IMAGES

    root = config.data or (
        os.path.dirname(config.labels) if config.labels else str(demo_data.images_dir())
    )
    labels = Path(config.labels) if config.labels else None
    found = list_folder(
        Path(root),
        labels=labels,
        columns=config.columns,
        seed=config.seed,
        rules=config.image_rules,
    )
    for item in found:
        if isinstance(item, ImageFolder):
            folder = item
        yield None
    _check_images(folder, saved_config, root)
    batch_size = saved_config["batch_size"]
    full_batches = config.image_rules > 1
    skipped = {_tail(name) for name in read_history(path, saved_config, 1).skipped}
    unreadable = {
        sample.path
        for sample in (*folder.train, *folder.val)
        if _tail(printable(sample.path)) in skipped
    }
    order = BatchOrder(
        folder.train,
        batch_size,
        config.seed,
        [
            index
            for index, sample in enumerate(folder.train)
            if full_batches and sample.path in unreadable
        ],
    )
    per_epoch = order.batches_per_epoch
    history = read_history(path, saved_config, per_epoch)
    start = history.start
    random = start.weights == "random"
    weights = weights_of(config)
    yield None
    image_size = saved_config["image_size"]
    built = torchvision_models.build(
        config.arch,
        Weights("random", "", None, None) if random else weights,
        num_classes=len(folder.classes),
        image_size=image_size,
        seed=config.seed,
    )
    yield None
    from_entry = not random and weights.state is None and weights.entry is not None
    model = model_facts(config, weights, built, start, image_size=image_size, from_entry=from_entry)
    _check_phases(model.phases)
    listing_name = f"{target.stem}.images.csv"
    data = data_section(folder, root, config.labels, config.seed, listing_name, config.image_rules)
    facts = RunFacts(
        script=target.name,
        name=path.resolve().name,
        version=saved_config.get("tl_tui", __version__),
        date=time.strftime("%d %B %Y", time.localtime((path / "config.json").stat().st_mtime)),
        device=saved_config["device"].split()[0].split(":")[0],
        memory_format=config.memory_format,
        deterministic=saved_config["deterministic"],
        threads=saved_config["threads"],
        seed=config.seed,
        classes=folder.classes,
        batch_size=batch_size,
        train_images=order.readable,
        full_batches=full_batches,
        batches_per_epoch=per_epoch,
        steps=start.steps,
        random_weights=random,
        weights_file="" if random or from_entry else f"{target.stem}.weights.pth",
        listing_file=f"{target.stem}.images.csv",
        ranges=ranges_of(saved_config),
        plain_images=_all_plain(
            [
                sample.path
                for sample in (*folder.train, *folder.val)
                if sample.path not in unreadable
            ]
        ),
        heif=any(_is_heif(sample.path) for sample in (*folder.train, *folder.val)),
        unreadable=list(map(os.path.abspath, unreadable)),
        model=model,
        calibration_batches=max(1, min(CALIBRATION_IMAGES, order.readable) // batch_size),
        notes=_notes(history, saved_config, demo=config.data is None and labels is None),
    )
    text = script_text(facts, data)
    other_files = []
    if facts.weights_file:
        other_files.append(target.with_name(facts.weights_file))
        _write_file(other_files[-1], lambda temporary: torch.save(backbone(built), temporary))
    if data.listing:
        other_files.append(target.with_name(facts.listing_file))
        listing = data.listing.encode("utf-8", "surrogateescape")
        _write_file(other_files[-1], lambda temporary: temporary.write_bytes(listing))
    _write_file(target, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    yield ScriptWritten(
        path=str(target),
        lines=text.count("\n"),
        steps=start.steps,
        extra_files=tuple(map(str, other_files)),
        notes=tuple(facts.notes),
    )


def _all_plain(paths: Sequence[str]) -> bool:
    """Return whether no image needs more than to be turned upright and converted to RGB.

    Of very many images this is not looked into, and the script has the code for all kinds.
    """
    from PIL import Image

    from engine.data.conversion.image_kinds import is_plain
    from engine.data.decoding import pillow_formats

    if len(paths) > MOST_HEADERS:
        return False
    for path in paths:
        try:
            with Image.open(path, formats=pillow_formats()) as image:
                if not is_plain(image):
                    return False
        except Exception:  # a damaged file can raise anything in a decoder
            return False
    return True


def _is_heif(path: str) -> bool:
    from engine.data.decoding import HEIF_ENDINGS

    return os.path.splitext(path)[1].lower() in HEIF_ENDINGS


def _tail(path: str) -> str:
    """Return the last two parts of a path, which stay the same if the folder is moved."""
    return "/".join(path.rsplit("/", 2)[-2:])


def _check_images(folder: Any, saved_config: dict[str, Any], root: str) -> None:
    from engine.session.context import describe_images

    before, now = saved_config.get("images"), describe_images(folder)
    if list(folder.classes) != saved_config["classes"]:
        raise ExportError(
            f"The classes in {root} are not those of the run. Name the folder of the run with "
            "--data."
        )
    if before and before != now:
        raise ExportError(
            f"The images in {root} are not those of the run: it had {before['train']:,} for "
            f"training and {before['val']:,} for validation, and now there are {now['train']:,} "
            f"and {now['val']:,}, or their names differ. Name the folder of the run with --data."
        )


def _check_phases(phases: list[Phase]) -> None:
    """Raise if a setting changed during the run that a script can have only one value of."""

    def count_values(value: Callable[[Recipe], Any]) -> int:
        return len({value(phase.recipe) for phase in phases})

    changed = ""
    if count_values(lambda recipe: recipe.balance) > 1:
        changed = "whether classes are balanced"
    elif len({p.recipe.augmentation for p in phases} - {"none"}) > 1:
        changed = "the augmentation"
    elif any(has_schedule(p.recipe) for p in phases) and (
        count_values(lambda recipe: (recipe.schedule, recipe.warmup)) > 1
    ):
        changed = "the schedule of the learning rates"
    if changed:
        raise ExportError(
            f"This run changed {changed} during training, which a script does not support yet. "
            "Export the model with --model instead."
        )


def _notes(history: History, saved_config: dict[str, Any], *, demo: bool) -> list[str]:
    notes = []
    if demo:
        notes.append("The images are the demo images that were installed with tl-tui.")
    if history.starts > 1:
        notes.append(
            "The run was started over. This script repeats the last of its "
            f"{history.starts} starts and counts the steps from there."
        )
    if saved_config["device"] != "cpu" and not saved_config["deterministic"]:
        notes.append(
            "The run was trained on a GPU, which does not always add numbers in the same order. "
            "The losses agree to several digits at first and then drift apart."
        )
    return notes


def _write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a temporary file and rename it, so that the file is complete or does not exist."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch.save raises the latter
        temporary.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise ExportError(f"{path} cannot be written ({reason}).") from error
