"""`tl-tui export RUN --model DIR`: a run's model for other programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ExportModel
from tl_tui.protocol.config import ModelFormat
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.inference import ModelExported, ModelFileChecked
from tui.cli import exit_codes

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection

FORMATS: tuple[ModelFormat, ...] = ("safetensors", "pth", "onnx")


def export_model(
    run: str,
    folder: str,
    *,
    formats: tuple[str, ...] | None = None,
    force: bool = False,
    checkpoint: str = "best",
) -> int:
    """Write the model of a run, and print of each file how it compared.

    Args:
        run: The run's directory, its name, or the beginning of that.
        folder: Where the files go.
        formats: Which; all that can be written if None.
        force: The folder may hold files already.
        checkpoint: Which weights.

    Returns:
        The exit code.

    Raises:
        Problem: it cannot be written, or a file gave other outputs than the model.
    """
    from tui.cli import headless
    from tui.cli.output.train.sentences import printable

    asked = ExportModel(
        id=1,
        run=run,
        folder=folder,
        formats=None if formats is None else _known(formats),
        force=force,
        checkpoint=checkpoint,
    )

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        async for event in headless.errand(connection, events, asked):
            match event:
                case ModelFileChecked():
                    print(printable(checked_words(event)), flush=True)
                case ModelExported():
                    for line in exported_words(event):
                        print(printable(line), flush=True)
        return exit_codes.DONE

    return headless.run(task)


def checked_words(file: ModelFileChecked) -> str:
    """Such as `model.pth, 44.8 MB: loaded again, the same outputs on 16 validation images of
    flowers (largest difference 0 of 3.21).`"""
    same = "the same outputs" if file.max_difference == 0 else "the outputs but for rounding"
    return (
        f"{file.name}, {file.bytes / 1e6:.1f} MB: loaded again, {same} on {file.compared_on} "
        f"(largest difference {file.max_difference:.2g} of {file.max_output:.3g})."
    )


def exported_words(event: ModelExported) -> list[str]:
    """Where the model is, and what was left out."""
    files = ", ".join(event.files)
    return [
        *event.notes,
        f"Exported {event.checkpoint}, step {event.step}, as {files}: {event.folder}",
    ]


def _known(formats: tuple[str, ...]) -> tuple[ModelFormat, ...]:
    for name in formats:
        if name not in FORMATS:
            raise Problem(f"--format {name}: choose from {', '.join(FORMATS)}, with commas.")
    if not formats:
        raise Problem(f"--format: it names nothing; choose from {', '.join(FORMATS)}.")
    return tuple(known for known in FORMATS if known in formats)
