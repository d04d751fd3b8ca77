"""Sentences about a dataset: images per class, the source of validation, what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from tl_tui.protocol.dataset import LeftOut
from tl_tui.protocol.session import SessionOpened
from tui.drawing.lines import fitted

MOST_CLASSES = 10
"""The largest number of classes whose images are counted one by one in a sentence."""
MOST_KINDS = 3
"""The number of kinds that a notice names."""
NAME_CELLS = 40
"""The width of the longest class name in a sentence, in cells."""


def dataset_sentences(session: SessionOpened, folds: int | None = None) -> list[str]:
    """Return what a session trains on and validates with, what was left out, and warnings.

    Args:
        session: The session.
        folds: The number of folds of the cross-validation that follows, which pools all images;
            None if training does.

    Returns:
        The sentences; none if the session does not say.
    """
    dataset = session.dataset
    if not dataset.train_counts:
        return []
    if folds is not None:
        both = zip(dataset.train_counts, dataset.val_counts, strict=True)
        counts = _counts(session.classes, [train + val for train, val in both])
        images = [f"Images: {counts}; each is used for validation in one of {folds} folds."]
    else:
        images = _training_and_validation(session)
    left_out = [left_out_sentence(dataset.left_out)] if dataset.left_out else []
    return [*images, *left_out, *(f"Warning: {finding}" for finding in dataset.findings)]


def _training_and_validation(session: SessionOpened) -> list[str]:
    dataset = session.dataset
    source = f" ({dataset.validation})" if dataset.validation else ""
    return [
        f"Training images: {_counts(session.classes, dataset.train_counts)}.",
        f"Validation images{source}: {_counts(session.classes, dataset.val_counts)}.",
    ]


def left_out_sentence(left_out: Sequence[LeftOut]) -> str:
    """Return what was left out, with an example and a reason for each kind."""
    return f"Left out: {', '.join(_with_reason(item) for item in left_out)}."


def left_out_notice(left_out: Sequence[LeftOut]) -> str:
    """Return what was left out in a few words, and where to read the reasons."""
    kinds = [f"{item.count:,} {item.kind}" for item in left_out]
    if len(kinds) > MOST_KINDS:
        more = len(kinds) - MOST_KINDS
        kinds[MOST_KINDS:] = [f"{more} more {'kind' if more == 1 else 'kinds'}"]
    return f"Left out: {', '.join(kinds)}. The reasons are on the palette's page Dataset."


def _with_reason(item: LeftOut) -> str:
    more = "; ".join(part for part in (item.example, item.reason) if part)
    return f"{item.count:,} {item.kind}" + (f" ({more})" if more else "")


def _counts(classes: Sequence[str], counts: Sequence[int]) -> str:
    """Return the number of images of each class, or the range if there are many classes."""
    named = [(fitted(name, NAME_CELLS), n) for name, n in zip(classes, counts, strict=True)]
    if len(named) <= MOST_CLASSES:
        return ", ".join(f"{name} {count:,}" for name, count in named)
    fewest, most = (choose(named, key=lambda pair: pair[1]) for choose in (min, max))
    return (
        f"{sum(counts):,} of {len(named):,} classes, "
        f"from {fewest[1]:,} ({fewest[0]}) to {most[1]:,} ({most[0]}) per class"
    )
