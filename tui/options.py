"""The options that say what to train, on what and how; shared by every command that opens a run."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import click

from engine.problem import Problem
from engine.protocol import RunConfig

from .sectioned_command import Option

LARGEST = 2**63 - 1
"""The largest whole number that passes to the engine, and that torch takes as a seed."""


def whole_number(least: int) -> click.IntRange:
    """The type of an option that takes a whole number."""
    return click.IntRange(min=least, max=LARGEST)


STRATEGIES = ("feature-extraction", "last-stage", "last-two-stages", "full")

_WHAT, _HOW, _WHERE = "What to train", "How to train", "Where"

_OPTIONS = (
    click.argument("folder", metavar="[DIR]", required=False, type=click.Path()),
    click.option(
        "--data",
        cls=Option,
        section=_WHAT,
        metavar="DIR",
        type=click.Path(),
        help="Image folder: DIR/train/CLASS/ and DIR/val/CLASS/, or DIR/CLASS/ alone, of which a "
        "fifth is kept for validation. The embedded hot dog / not hot dog if none is given.",
    ),
    click.option(
        "--arch",
        cls=Option,
        section=_WHAT,
        metavar="NAME",
        help="torchvision model: resnet18 (the default) to resnet152, resnext50_32x4d, "
        "wide_resnet50_2, ...",
    ),
    click.option(
        "--weights",
        cls=Option,
        section=_WHAT,
        metavar="WEIGHTS",
        help="auto, default, demo, none, an entry such as IMAGENET1K_V1, or a file. auto (the "
        "default) takes the model's default entry; only with the embedded demo it goes on "
        "without, and says so.",
    ),
    click.option(
        "--strategy",
        cls=Option,
        section=_WHAT,
        type=click.Choice(STRATEGIES),
        metavar="STRATEGY",
        help="feature-extraction (the head alone; the default with pretrained weights), "
        "last-stage, last-two-stages or full (the default without).",
    ),
    click.option(
        "--trainable",
        cls=Option,
        section=_WHAT,
        metavar="NAMES",
        help="Layers, stages or modules that train, comma-separated, such as layer2,fc; "
        "overrides the strategy.",
    ),
    click.option(
        "--batch-size",
        cls=Option,
        section=_HOW,
        type=whole_number(2),
        metavar="N",
        help="Images a step, at least 2.",
    ),
    click.option(
        "--image-size",
        cls=Option,
        section=_HOW,
        type=whole_number(32),
        metavar="PIXELS",
        help="Side of the images as the model sees them, at least 32.",
    ),
    click.option(
        "--lr",
        cls=Option,
        section=_HOW,
        type=float,
        metavar="RATE",
        help="Learning rate of the new head; pretrained layers learn at a tenth of it.",
    ),
    click.option(
        "--seed",
        cls=Option,
        section=_HOW,
        type=whole_number(0),
        metavar="N",
        help="Of the head, the split and the order of the images; 0 by default.",
    ),
    click.option(
        "--deterministic",
        cls=Option,
        section=_HOW,
        is_flag=True,
        help="The same bits at every run on CUDA too; slower.",
    ),
    click.option(
        "--probe-every",
        cls=Option,
        section=_HOW,
        type=whole_number(1),
        metavar="K",
        help="Measure every layer at every K-th step; 1 with train --json, else 10.",
    ),
    click.option(
        "--device",
        cls=Option,
        section=_WHERE,
        metavar="DEVICE",
        help="auto (the default), cpu, cuda, cuda:N or mps.",
    ),
    click.option(
        "--run-dir",
        cls=Option,
        section=_WHERE,
        type=click.Path(),
        metavar="DIR",
        help="Folder for the run's journal, configuration and log; by default a new one under "
        "$XDG_STATE_HOME/tl-tui/runs.",
    ),
)

_FIELDS = (
    "data",
    "arch",
    "weights",
    "strategy",
    "batch_size",
    "image_size",
    "lr",
    "seed",
    "deterministic",
    "probe_every",
    "device",
    "run_dir",
)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the shared options; it is called with `config`, a `RunConfig`."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        folder, names = given.pop("folder"), given.pop("trainable")
        asked = {field: given.pop(field) for field in _FIELDS}
        if folder is not None:
            if asked["data"] is not None:
                raise Problem(f"The data is given twice: {folder} and --data {asked['data']}.")
            asked["data"] = folder
        called = "--data " if folder is None else ""
        if names is not None:
            asked["trainable"] = tuple(name.strip() for name in names.split(",") if name.strip())
        config = RunConfig(**{name: value for name, value in asked.items() if value is not None})
        _check(config, called)
        return function(config=config, probe_every=asked["probe_every"], **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _check(config: RunConfig, called: str) -> None:
    """What can be known to be wrong before an engine is started; it checks the rest.

    Args:
        config: What is asked for.
        called: How the folder was given: `--data `, or nothing before it.

    Raises:
        Problem: in a sentence.
    """
    if config.data is not None and not os.path.isdir(config.data):
        if os.path.exists(config.data):
            raise Problem(
                f"{called}{config.data} is a file; name the folder that holds a folder a class."
            )
        raise Problem(f"{called}{config.data}: there is no such folder{_near_command(config.data)}")
    if config.run_dir is not None and os.path.isfile(config.run_dir):
        raise Problem(f"--run-dir {config.run_dir} is a file; name a folder to be made.")
    if config.lr is not None and not (math.isfinite(config.lr) and config.lr >= 0):
        raise Problem(f"--lr {config.lr}: it must be a finite number from 0 on.")


def _near_command(word: str) -> str:
    """A hint for who meant a command."""
    import difflib

    from .cli import COMMANDS

    if word in COMMANDS:
        return f"; write the command first: tl-tui {word} ..."
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f" and no such command; did you mean tl-tui {near[0]}?" if near else "."
