"""Cross-validation on the command line: every image once, and figures that are kept."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import SMALL, events_named, run, strict


def test_folds_validate_every_image_once(environment: dict[str, str], images: Path) -> None:
    done = run(
        *("train", images, *SMALL, "--folds", "3", "--epochs", "1", "--json"), env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = strict(done.stdout)
    folds, (whole,) = events_named(lines, "fold"), events_named(lines, "folds")
    assert [fold["fold"] for fold in folds] == [1, 2, 3]
    assert sum(fold["total"] for fold in folds) == whole["total"] == 36  # every image once
    assert whole["accuracies"] == [fold["accuracy"] for fold in folds]
    assert [line["event"] for line in lines[-2:]] == ["folds", "ended"]
    (kept,) = strict(run("runs", "--json", env=environment).stdout)
    assert kept["state"] == "done" and kept["steps"] == 0
    for name in ("accuracies", "mean", "spread", "correct", "total", "interval", "reason"):
        assert kept["cross_validation"][name] == whole[name], name
    page = run("show", kept["name"], env=environment).stdout
    assert "done: 3 of 3 folds are done" in page and f"3 of 3: {whole['correct']} of 36" in page


def test_too_many_folds_are_refused_with_one_sentence(
    environment: dict[str, str], images: Path
) -> None:
    done = run("train", images, *SMALL, "--folds", "400", env=environment)
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("tl-tui: ") and "400" in sentence
