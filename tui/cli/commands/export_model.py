"""`tl-tui export RUN --model DIR`: write a run's model for other programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, get_args

from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ExportModel
from tl_tui.protocol.config import ModelFormat
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ModelExported, ModelFileChecked
from tui.cli import exit_codes

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection

FORMATS: tuple[ModelFormat, ...] = get_args(ModelFormat)


def export_model(
    run: str,
    folder: str,
    *,
    formats: tuple[str, ...] | None = None,
    force: bool = False,
    checkpoint: str = "best",
    temperature: bool = False,
) -> int:
    """Write the model of a run, and print how the outputs of each file compare with the model's.

    Args:
        run: The run's directory, its name, or the beginning of its name.
        folder: The folder for the files.
        formats: The formats; None writes all that are available.
        force: Whether the folder may already contain files.
        checkpoint: The name of the checkpoint with the weights.
        temperature: Whether to fit a temperature on the run's validation images.

    Returns:
        The exit code.

    Raises:
        Problem: The model cannot be written, or a file gives other outputs than the model.
    """
    from tui.cli import headless
    from tui.cli.output.names import printable

    request = ExportModel(
        id=1,
        run=run,
        folder=folder,
        formats=None if formats is None else _checked_formats(formats),
        force=force,
        checkpoint=checkpoint,
        temperature=temperature,
    )

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        async for event in headless.run_job(connection, events, request):
            match event:
                case ModelFileChecked():
                    print(printable(checked_sentence(event)), flush=True)
                case ModelExported():
                    for line in exported_lines(event):
                        print(printable(line), flush=True)
        return exit_codes.DONE

    return headless.run(task)


def checked_sentence(file: ModelFileChecked) -> str:
    """Return how a model file compares, such as `model.pth, 44.8 MB: loaded again, it gives the
    same outputs on 16 validation images of flowers (largest difference 0 of 3.21).`"""
    same = "the same outputs" if file.max_difference == 0 else "the same outputs up to rounding"
    return (
        f"{file.name}, {file.bytes / 1e6:.1f} MB: loaded again, it gives {same} on "
        f"{file.compared_on} (largest difference {file.max_difference:.2g} of "
        f"{file.max_output:.3g})."
    )


def exported_lines(event: ModelExported) -> list[str]:
    """Return the notes on an export, and a line with its files and folder."""
    from tui.text.measures import fit_words, three_digits

    files = ", ".join(event.files)
    fitted = event.temperature
    value = "" if fitted is None else f"Temperature {three_digits(fitted.value)}, in model.json"
    return [
        *event.notes,
        *([] if fitted is None else [f"{value}: {fit_words(fitted, fitted.images)}."]),
        f"Exported {event.checkpoint}, step {event.step}, as {files}: {event.folder}",
    ]


def _checked_formats(formats: tuple[str, ...]) -> tuple[ModelFormat, ...]:
    """Return the formats in the order of `FORMATS`.

    Raises:
        Problem: There is no format, or one of them is unknown.
    """
    for name in formats:
        if name not in FORMATS:
            raise Problem(
                f"--format {name}: choose from {', '.join(FORMATS)}, separated by commas."
            )
    if not formats:
        raise Problem(f"--format is empty; choose from {', '.join(FORMATS)}.")
    return tuple(name for name in FORMATS if name in formats)
