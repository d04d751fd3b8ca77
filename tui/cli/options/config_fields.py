"""The options that set the fields of `RunConfig`; types and help come from its annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

import click
import msgspec

from tl_tui.protocol.config import RunConfig
from tl_tui.settings.config_file import key_of
from tui.cli.click_sections import Option
from tui.cli.options.types import NUMBER, Names, WholeNumber

STRATEGIES = ("feature-extraction", "last-stage", "last-two-stages", "full", "bn-only")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_HINTS = typing.get_type_hints(RunConfig, include_extras=True)


def description_of(field: str) -> str:
    """Return the description of a field of `RunConfig`."""
    (meta,) = _HINTS[field].__metadata__
    assert isinstance(meta, msgspec.Meta) and meta.description is not None
    return meta.description


def _config_option(
    section: str, field: str, metavar: str | None = None, kind: click.ParamType | None = None
) -> Decorator:
    """Return the option that sets a field of `RunConfig`.

    Args:
        section: The section of the help in which it is listed.
        field: The field's name.
        metavar: The placeholder for its value; None for a switch.
        kind: Its type on the command line; by default the one that fits the annotation.
    """
    name = f"--{key_of(field)}"
    return click.option(
        name if metavar else f"{name}/--no-{key_of(field)}",
        cls=Option,
        section=section,
        metavar=metavar,
        type=kind or _type_of(field),
        default=None,
        help=description_of(field),
    )


def _type_of(field: str) -> click.ParamType:
    """Return the command-line type that fits a field's annotation."""
    hint = typing.get_args(_HINTS[field])[0]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        return click.Choice(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return Names()
    return {str: click.STRING, bool: click.BOOL, float: NUMBER}[hint]


_IMAGES, _MODEL, _LENGTH = "Images", "Model and trainable layers", "Training length and seed"
_RATES, _OUTPUT = "Optimizer and learning rates", "Device, execution and output"

OPTIONS: tuple[Decorator, ...] = (
    click.argument("folder", metavar="[DIR]", required=False, type=click.Path()),
    _config_option(_IMAGES, "data", "DIR", click.Path()),
    _config_option(_IMAGES, "labels", "FILE.csv", click.Path()),
    _config_option(_IMAGES, "columns", "ROLE=NAME,..."),
    _config_option(_IMAGES, "balance"),
    _config_option(_IMAGES, "augmentation", "NAME"),
    _config_option(_IMAGES, "image_size", "PIXELS", WholeNumber(32)),
    _config_option(_IMAGES, "batch_size", "N", WholeNumber(2)),
    _config_option(_IMAGES, "folds", "K", WholeNumber(2)),
    _config_option(_MODEL, "arch", "NAME"),
    _config_option(_MODEL, "weights", "WEIGHTS"),
    _config_option(_MODEL, "strategy", "STRATEGY", click.Choice(STRATEGIES)),
    _config_option(_MODEL, "trainable", "NAMES"),
    _config_option(_MODEL, "plan", "PLAN"),
    _config_option(_MODEL, "plan_epochs", "N", WholeNumber(1)),
    _config_option(_LENGTH, "epochs", "N", WholeNumber(1)),
    _config_option(_LENGTH, "steps", "N", WholeNumber(1)),
    _config_option(_LENGTH, "seed", "N", WholeNumber(0)),
    _config_option(_LENGTH, "deterministic"),
    _config_option(_RATES, "optimizer", "NAME"),
    _config_option(_RATES, "lr", "RATE"),
    _config_option(_RATES, "lr_pretrained", "RATE"),
    _config_option(_RATES, "lr_decay", "FACTOR"),
    _config_option(_RATES, "momentum", "FACTOR"),
    _config_option(_RATES, "weight_decay", "FACTOR"),
    _config_option(_RATES, "lr_schedule", "NAME"),
    _config_option(_RATES, "warmup", "FRACTION"),
    _config_option(_OUTPUT, "device", "DEVICE"),
    _config_option(_OUTPUT, "precision", "NAME"),
    _config_option(_OUTPUT, "run_dir", "DIR", click.Path()),
    _config_option(_OUTPUT, "probe_every", "K", WholeNumber(1)),
    _config_option(_OUTPUT, "checkpoint_seconds", "SECONDS"),
    _config_option(_OUTPUT, "execution", "NAME"),
    _config_option(_OUTPUT, "memory_format", "NAME"),
    _config_option(_OUTPUT, "feature_cache", "NAME"),
    _config_option(_OUTPUT, "feature_cache_gib", "GIB"),
    _config_option(_OUTPUT, "checkpoint_every", "STEPS", WholeNumber(1)),
    _config_option(_OUTPUT, "tensorboard"),
    click.option(
        "--config",
        "config_file",
        cls=Option,
        section=_OUTPUT,
        type=click.Path(),
        metavar="FILE.toml",
        help='TOML file with any of these options, such as lr-schedule = "cosine". Options on the '
        "command line take precedence; paths in the file are relative to its folder.",
    ),
)
"""The folder and every option, in the order of the help."""
