"""`tl-tui export`: write a run as a script or its model, for use without tl-tui."""

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
        ("the run as a single plain PyTorch script", "tl-tui export 20260801 -o train.py"),
        ("and check that it trains identically", "tl-tui export RUN -o train.py --check"),
        ("the weights, ready for plain torchvision", "tl-tui export RUN --model flowers/"),
        ("for onnxruntime only", "tl-tui export RUN --model flowers/ --format onnx"),
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
    help="Training script to write.",
)
@click.option(
    "--check",
    cls=Option,
    section="Script",
    is_flag=True,
    help="Run the script and compare its losses with the journal's.",
)
@click.option(
    "--data",
    cls=Option,
    section="Script",
    metavar="DIR",
    callback=checked_text,
    help="Image folder for the script, if it has moved since the run.",
)
@click.option(
    "--model",
    "model",
    cls=Option,
    section="Model",
    metavar="DIR",
    callback=checked_text,
    help="Folder for the model, its classes and its preprocessing.",
)
@click.option(
    "--format",
    "formats",
    cls=Option,
    section="Model",
    metavar="NAMES",
    type=Names(),
    help="File formats, separated by commas: safetensors, pth, onnx. By default all of them, onnx "
    "only if its extra is installed.",
)
@click.option(
    "--temperature",
    cls=Option,
    section="Model",
    is_flag=True,
    help="Fit a temperature on the run's validation images, for calibrated probabilities: "
    "model.json contains it, README.txt divides the logits by it.",
)
@CHECKPOINT
@click.option("--force", cls=Option, is_flag=True, help="Overwrite existing files.")
def command(
    run: str,
    script: str | None,
    check: bool,
    data: str | None,
    model: str | None,
    formats: tuple[str, ...] | None,
    temperature: bool,
    checkpoint: str,
    force: bool,
) -> int:
    """Write a run as a plain PyTorch training script, write its model for other programs, or both;
    neither needs tl-tui. Each model file is loaded again and compared with the run's model on real
    images.

    RUN is the run's directory, its name, or the beginning of its name."""
    if script is None and model is None:
        raise Problem("Name what to export: -o train.py for a script or --model DIR for the model.")
    if script is None and (check or data is not None):
        option = "--check" if check else "--data"
        raise Problem(f"{option} applies only to an exported script; add -o FILE to write one.")
    if model is None and formats is not None:
        raise Problem("--format applies only to the model; add --model DIR.")
    if model is None and temperature:
        raise Problem("--temperature applies only to the model; add --model DIR.")
    if script is not None:
        code = export_script(run, script, check=check, data=data, force=force)
        if code != exit_codes.DONE or model is None:
            return code
    assert model is not None
    return export_model(
        run, model, formats=formats, force=force, checkpoint=checkpoint, temperature=temperature
    )
