"""`tl-tui export`: what a run came to, for those who have no tl-tui."""

from __future__ import annotations

import click

from tl_tui.common.errors import Problem
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.commands.export_model import export_model
from tui.cli.commands.export_script import export_script
from tui.cli.options.inference import CHECKPOINT, RUN, checked_text
from tui.cli.options.types import Names


@click.command(
    "export",
    cls=SectionedCommand,
    examples=(
        ("the run as one plain PyTorch script", "tl-tui export 20260801 -o train.py"),
        ("and see that it trains the same", "tl-tui export RUN -o train.py --check"),
        ("the weights, ready for plain torchvision", "tl-tui export RUN --model flowers/"),
        ("for onnxruntime alone", "tl-tui export RUN --model flowers/ --format onnx"),
    ),
)
@RUN
@click.option(
    "-o",
    "--output",
    "script",
    cls=Option,
    section="Script",
    metavar="FILE",
    callback=checked_text,
    help="The training script to be written.",
)
@click.option(
    "--check",
    cls=Option,
    section="Script",
    is_flag=True,
    help="Run it, and compare its losses with the journal's.",
)
@click.option(
    "--data",
    cls=Option,
    section="Script",
    metavar="DIR",
    callback=checked_text,
    help="The image folder, if it has moved since.",
)
@click.option(
    "--model",
    "model",
    cls=Option,
    section="Model",
    metavar="DIR",
    callback=checked_text,
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
@CHECKPOINT
@click.option("--force", cls=Option, is_flag=True, help="Write over what is there.")
def command(
    run: str,
    script: str | None,
    check: bool,
    data: str | None,
    model: str | None,
    formats: tuple[str, ...] | None,
    checkpoint: str,
    force: bool,
) -> int:
    """Write a run (its name, or the beginning of it) as a plain PyTorch training script, its model
    for other programs, or both; neither needs tl-tui. Each file of a model is loaded again and
    compared on real images before it is called done."""
    if script is None and model is None:
        raise Problem("export: name what to write, -o train.py or --model FOLDER.")
    if script is None and (check or data is not None):
        raise Problem(f"--{'check' if check else 'data'}: it is about the script; add -o FILE.")
    if model is None and formats is not None:
        raise Problem("--format: it is about the model; add --model FOLDER.")
    if script is not None:
        code = export_script(run, script, check=check, data=data, force=force)
        if code != exit_codes.DONE or model is None:
            return code
    assert model is not None
    return export_model(run, model, formats=formats, force=force, checkpoint=checkpoint)
