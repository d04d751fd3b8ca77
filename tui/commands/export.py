"""`tl-tui export`: what a run came to, for those who have no tl-tui."""

from __future__ import annotations

import click

from ..options.answering import CHECKPOINT, RUN, a_text
from ..options.types import Names
from ..sectioned_command import Option, SectionedCommand
from .export_model import export_model


@click.command(
    "export",
    cls=SectionedCommand,
    examples=(
        (
            "the weights, ready for plain torchvision",
            "tl-tui export 20260801 --model flowers/",
        ),
        ("for onnxruntime alone", "tl-tui export RUN --model flowers/ --format onnx"),
    ),
)
@RUN
@click.option(
    "--model",
    "model",
    cls=Option,
    section="Model",
    metavar="DIR",
    callback=a_text,
    required=True,
    help="Folder for the model, with its classes and preprocessing beside it.",
)
@click.option(
    "--format",
    "formats",
    cls=Option,
    section="Model",
    metavar="NAMES",
    type=Names(),
    help="Of safetensors, pth, onnx, with commas; all by default, onnx where its extra is there.",
)
@click.option(
    "--force",
    cls=Option,
    section="Model",
    is_flag=True,
    help="Write into a folder that holds files already.",
)
@CHECKPOINT
def command(
    run: str, model: str, formats: tuple[str, ...] | None, force: bool, checkpoint: str
) -> int:
    """Write the model of a run (its name, or the beginning of it) for other programs. Each file is
    loaded again and compared on real images before it is called done."""
    return export_model(run, model, formats=formats, force=force, checkpoint=checkpoint)
