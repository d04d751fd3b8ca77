"""The options that say what to train on, and what to train."""

from __future__ import annotations

import click

from tui.cli.click_sections import Option
from tui.cli.options.types import Names, whole_number

STRATEGIES = ("feature-extraction", "last-stage", "last-two-stages", "full", "bn-only")

_IMAGES, _MODEL = "Images", "Model, and what of it trains"

OPTIONS = (
    click.argument("folder", metavar="[DIR]", required=False, type=click.Path()),
    click.option(
        "--data",
        cls=Option,
        section=_IMAGES,
        metavar="DIR",
        type=click.Path(),
        help="Image folder: DIR/train/CLASS/ and DIR/val/CLASS/, or DIR/CLASS/ alone, of which a "
        "fifth is kept for validation. The embedded hot dog / not hot dog if none is given.",
    ),
    click.option(
        "--labels",
        cls=Option,
        section=_IMAGES,
        metavar="FILE.csv",
        type=click.Path(),
        help="Classes from a file instead of folders: the columns path (within the image folder) "
        "and label.",
    ),
    click.option(
        "--balance/--no-balance",
        cls=Option,
        section=_IMAGES,
        default=None,
        help="Draw images of rare classes more often, so that every class is as frequent.",
    ),
    click.option(
        "--augmentation",
        cls=Option,
        section=_IMAGES,
        type=click.Choice(("none", "light", "standard")),
        metavar="HOW",
        help="Change training images at random: none (the default), light or standard.",
    ),
    click.option(
        "--image-size",
        cls=Option,
        section=_IMAGES,
        type=whole_number(32),
        metavar="PIXELS",
        help="Side of the images as the model sees them, at least 32.",
    ),
    click.option(
        "--batch-size",
        cls=Option,
        section=_IMAGES,
        type=whole_number(2),
        metavar="N",
        help="Images a step, at least 2.",
    ),
    click.option(
        "--folds",
        cls=Option,
        section=_IMAGES,
        type=whole_number(2),
        metavar="K",
        help="Cross-validate: train and validate K times, each time on another split of all "
        "images.",
    ),
    click.option(
        "--arch",
        cls=Option,
        section=_MODEL,
        metavar="NAME",
        help="torchvision model: resnet18 (the default) to resnet152, resnext50_32x4d, "
        "wide_resnet50_2, ...",
    ),
    click.option(
        "--weights",
        cls=Option,
        section=_MODEL,
        metavar="WEIGHTS",
        help="auto, default, demo, none, an entry such as IMAGENET1K_V1, or a file. auto (the "
        "default) takes the model's default entry; only with the embedded demo it goes on "
        "without (from the demo weights if the model is resnet18, else from random ones), and says "
        "so.",
    ),
    click.option(
        "--strategy",
        cls=Option,
        section=_MODEL,
        type=click.Choice(STRATEGIES),
        metavar="STRATEGY",
        help="feature-extraction (the head alone; the default with pretrained weights), "
        "last-stage, last-two-stages, full (the default without), or bn-only (BatchNorms and "
        "the head).",
    ),
    click.option(
        "--trainable",
        cls=Option,
        section=_MODEL,
        type=Names(),
        metavar="NAMES",
        help="Layers, stages or modules that train, comma-separated, such as layer2,fc; "
        "overrides the strategy.",
    ),
    click.option(
        "--plan",
        cls=Option,
        section=_MODEL,
        type=click.Choice(("lp-ft", "gradual")),
        metavar="PLAN",
        help="Strategies over time: lp-ft (first the head, then everything) or gradual (one "
        "stage more, from the top).",
    ),
    click.option(
        "--plan-epochs",
        cls=Option,
        section=_MODEL,
        type=whole_number(1),
        metavar="N",
        help="Epochs of each phase of the plan but the last.",
    ),
)
