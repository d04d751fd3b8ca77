"""The options that say how to train, and where."""

from __future__ import annotations

import click

from tui.cli.click_sections import Option
from tui.cli.options.types import NUMBER, whole_number

_LONG, _RATES, _WHERE = "How long", "Optimizer and learning rates", "Where, and what is kept"

OPTIONS = (
    click.option(
        "--epochs",
        cls=Option,
        section=_LONG,
        type=whole_number(1),
        metavar="N",
        help="How often every training image is seen, 10 times by default; the schedule's horizon.",
    ),
    click.option(
        "--steps",
        cls=Option,
        section=_LONG,
        type=whole_number(1),
        metavar="N",
        help="End after N steps instead.",
    ),
    click.option(
        "--seed",
        cls=Option,
        section=_LONG,
        type=whole_number(0),
        metavar="N",
        help="Of the head, the split, the order of the images and their changes; 0 by default.",
    ),
    click.option(
        "--deterministic/--no-deterministic",
        cls=Option,
        section=_LONG,
        default=None,
        help="The same bits at every run on CUDA too; slower.",
    ),
    click.option(
        "--optimizer",
        cls=Option,
        section=_RATES,
        type=click.Choice(("sgd", "adamw")),
        metavar="NAME",
        help="sgd (the default) or adamw.",
    ),
    click.option(
        "--lr",
        cls=Option,
        section=_RATES,
        type=NUMBER,
        metavar="RATE",
        help="Learning rate of the new head.",
    ),
    click.option(
        "--lr-pretrained",
        cls=Option,
        section=_RATES,
        type=NUMBER,
        metavar="RATE",
        help="Of the pretrained layers; a tenth of the head's by default.",
    ),
    click.option(
        "--lr-decay",
        cls=Option,
        section=_RATES,
        type=NUMBER,
        metavar="FACTOR",
        help="Each pretrained layer learns at this factor of the one above it; 1 by default.",
    ),
    click.option(
        "--momentum",
        cls=Option,
        section=_RATES,
        type=NUMBER,
        metavar="SHARE",
        help="Of sgd.",
    ),
    click.option(
        "--weight-decay",
        cls=Option,
        section=_RATES,
        type=NUMBER,
        metavar="FACTOR",
        help="Pull of the weights towards 0.",
    ),
    click.option(
        "--lr-schedule",
        cls=Option,
        section=_RATES,
        type=click.Choice(("constant", "cosine", "one-cycle")),
        metavar="NAME",
        help="How the rates go over the run: constant (the default), cosine or one-cycle.",
    ),
    click.option(
        "--warmup",
        cls=Option,
        section=_RATES,
        type=NUMBER,
        metavar="SHARE",
        help="Share of the steps over which the rates rise first, 0 to 0.9.",
    ),
    click.option(
        "--device",
        cls=Option,
        section=_WHERE,
        metavar="DEVICE",
        help="auto (the default), cpu, cuda, cuda:N or mps.",
    ),
    click.option(
        "--precision",
        cls=Option,
        section=_WHERE,
        type=click.Choice(("fp32", "bf16")),
        metavar="NAME",
        help="fp32 (the default), or bf16 where the device has it.",
    ),
    click.option(
        "--run-dir",
        cls=Option,
        section=_WHERE,
        type=click.Path(),
        metavar="DIR",
        help="Folder for the run's journal, checkpoints, configuration and log; by default a new "
        "one under $XDG_STATE_HOME/tl-tui/runs.",
    ),
    click.option(
        "--probe-every",
        cls=Option,
        section=_WHERE,
        type=whole_number(1),
        metavar="K",
        help="Measure every layer at every K-th step; 1 with train --json, else 10.",
    ),
    click.option(
        "--checkpoint-seconds",
        cls=Option,
        section=_WHERE,
        type=NUMBER,
        metavar="SECONDS",
        help="Save at the end of an epoch, but not more often than this; each one by default.",
    ),
    click.option(
        "--execution",
        cls=Option,
        section=_WHERE,
        type=click.Choice(("auto", "eager", "captured")),
        metavar="NAME",
        help="How the steps of a run are executed: captured replays them from CUDA graphs, eager "
        "launches every kernel; auto (the default) captures where there is a CUDA device.",
    ),
    click.option(
        "--memory-format",
        cls=Option,
        section=_WHERE,
        type=click.Choice(("contiguous", "channels-last")),
        metavar="NAME",
        help="Of weights and activations: contiguous (the default), or channels-last, which is "
        "faster on GPUs with bf16.",
    ),
    click.option(
        "--feature-cache",
        cls=Option,
        section=_WHERE,
        type=click.Choice(("on", "off", "half")),
        metavar="NAME",
        help="In a run, execute frozen layers once an image and keep what they give: on (the "
        "default), off, or half (kept in half precision: other numbers, half the memory).",
    ),
    click.option(
        "--feature-cache-gib",
        cls=Option,
        section=_WHERE,
        type=NUMBER,
        metavar="GIB",
        help="Memory for that; by default a fourth of what is free. The rest goes to a file.",
    ),
    click.option(
        "--checkpoint-every",
        cls=Option,
        section=_WHERE,
        type=whole_number(1),
        metavar="STEPS",
        help="Also save a checkpoint every so many steps of training; by default at the end of "
        "each epoch alone.",
    ),
    click.option(
        "--tensorboard/--no-tensorboard",
        cls=Option,
        section=_WHERE,
        default=None,
        help="Also write TensorBoard files into the run's folder (pip install tensorboardX).",
    ),
    click.option(
        "--config",
        "config_file",
        cls=Option,
        section=_WHERE,
        type=click.Path(),
        metavar="FILE.toml",
        help='Any of these options from a file, such as lr-schedule = "cosine"; what the command '
        "line says goes before. Paths in it are relative to its folder.",
    ),
)
