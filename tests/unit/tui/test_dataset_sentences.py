"""Before the first step, the command line says what is trained on and what was left out."""

from __future__ import annotations

import msgspec

from tests.support.stack_messages import opened
from tl_tui.protocol.dataset import DatasetSummary, LeftOut
from tui.cli.output.train.sentences import opening_lines
from tui.text.dataset import dataset_sentences, left_out_notice

SUMMARY = DatasetSummary(
    train_counts=(120, 120),
    val_counts=(40, 40),
    validation="Val/",
    left_out=(
        LeftOut(kind=".heic", count=1_050, example="cat/a.heic", reason="truncated or damaged"),
        LeftOut(kind="system folders", count=2, example="@eaDir"),
    ),
    findings=("All 80 validation images are also among the training images.",),
)


def test_the_opening_lines_say_what_is_trained_on() -> None:
    lines = opening_lines(opened(dataset=SUMMARY, notes=("A note.",)))
    assert lines[1:] == [
        "Training images: hot dog 120, not hot dog 120.",
        "Validation images (Val/): hot dog 40, not hot dog 40.",
        "Left out: 1,050 .heic (cat/a.heic; truncated or damaged), 2 system folders (@eaDir).",
        "Warning: All 80 validation images are also among the training images.",
        "A note.",
    ]
    assert len(opening_lines(opened())) == 1, "a session that does not say it"
    pooled = opening_lines(opened(dataset=SUMMARY), 5)[1]
    assert pooled == (
        "Images: hot dog 160, not hot dog 160; each is used for validation in one of 5 folds."
    )


def test_of_many_classes_the_smallest_and_the_largest_are_named() -> None:
    counts = tuple(range(3, 105))
    session = opened(
        classes=tuple(f"flower {n}" for n in range(102)),
        dataset=msgspec.structs.replace(SUMMARY, train_counts=counts, val_counts=counts),
    )
    assert dataset_sentences(session)[0] == (
        "Training images: 5,457 of 102 classes, from 3 (flower 0) to 104 (flower 101) per class."
    )


def test_the_notice_counts_the_kinds() -> None:
    notice = left_out_notice(SUMMARY.left_out)
    assert notice.startswith("Left out: 1,050 .heic, 2 system folders. ")
    assert ", 1,050 .heic, 3 more kinds. " in left_out_notice(SUMMARY.left_out * 3)
