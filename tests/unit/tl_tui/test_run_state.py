"""What a journal says about the state of a run, its folds, and its losses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tl_tui.runs.journal_writer import JournalWriter
from tl_tui.runs.run_reader import read_run
from tui.text.runs import result_text, run_as_json, run_page


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """The journal of a run that an engine has open."""
    writer = JournalWriter(tmp_path / "run")
    writer.begin({"arch": "resnet18", "weights": "random", "classes": ["a", "b"]})
    yield writer
    writer.close()


def step(journal: JournalWriter, *losses: float) -> None:
    for number, loss in enumerate(losses, start=1):
        journal.note("step", start=0, step=number, loss=loss)


def fold(journal: JournalWriter, number: int, correct: int, *, folds: int = 3) -> None:
    journal.note(
        "fold", fold=number, folds=folds, correct=correct, total=20, loss=0.5, steps=7, seconds=1.0
    )


def end(journal: JournalWriter, *, folds: int, reason: str) -> None:
    journal.note("folds", folds=folds, correct=0, total=0, accuracies=[], reason=reason)


def page(journal: JournalWriter) -> dict[str, str]:
    return dict(run_page(read_run(journal.path)))


# --- idle and running ---------------------------------------------------------------------------


def test_a_run_is_idle_until_its_engine_trains(journal: JournalWriter) -> None:
    step(journal, 0.7)  # one step by `t`
    assert read_run(journal.path).state == "idle"
    assert page(journal)["state"].startswith("idle: an engine has it open and waits")
    journal.note("train", start=0, to_step=9)
    step(journal, 0.7, 0.6)
    assert read_run(journal.path).state == "running"
    journal.note("train_ended", start=0, step=2, reason="paused")
    journal.note("command", id=1)
    assert read_run(journal.path).state == "idle"
    journal.close()
    assert read_run(journal.path).state == "paused"


def test_a_run_that_is_done_and_still_open_is_idle(journal: JournalWriter) -> None:
    journal.note("train", start=0, to_step=1)
    step(journal, 0.7)
    journal.note("train_ended", start=0, step=1, reason="done")
    assert read_run(journal.path).state == "idle"
    journal.close()
    assert read_run(journal.path).state == "done"


def test_a_cross_validation_runs_from_its_first_step_on(journal: JournalWriter) -> None:
    journal.note("folds_began", folds=3)
    assert read_run(journal.path).state == "running"
    fold(journal, 1, 18)
    assert page(journal)["state"].startswith("running: an engine is cross-validating it")
    end(journal, folds=3, reason="paused")
    assert read_run(journal.path).state == "idle"


def test_a_run_that_is_resumed_after_its_engine_was_killed_is_idle(journal: JournalWriter) -> None:
    journal.note("train", start=0, to_step=9)
    step(journal, 0.7)
    journal.note("resumed", start=0, step=1)
    assert read_run(journal.path).state == "idle"


# --- advice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("closed", [False, True])
def test_resume_is_advised_only_where_there_is_a_checkpoint(
    journal: JournalWriter, checkpoint: bool, closed: bool
) -> None:
    step(journal, 0.7)
    if checkpoint:
        (journal.path / "checkpoints").mkdir()
        (journal.path / "checkpoints" / "last.safetensors").write_bytes(b"")
    if closed:
        journal.close()
    else:
        assert journal._journal is not None
        journal._journal.close()  # as when the engine is killed
        journal._journal = None
    state = page(journal)["state"]
    assert state.startswith("paused" if closed else "cut off")
    assert (f"tl-tui resume {journal.path} continues it" in state) is checkpoint
    assert ("it saved no checkpoint" in state) is not checkpoint


# --- folds --------------------------------------------------------------------------------------


def test_the_figures_of_the_folds_are_kept_and_shown(journal: JournalWriter) -> None:
    journal.note("folds_began", folds=3)
    for number, correct in enumerate((18, 16, 20), start=1):
        fold(journal, number, correct)
    end(journal, folds=3, reason="done")
    journal.close()
    run = read_run(journal.path)
    assert run.state == "done" and result_text(run) == "3 folds, .90 (.80 to .95)"
    shown = page(journal)
    assert shown["state"].startswith("done: 3 of 3 folds are done")
    assert shown["fold 2"] == "16 of 20, .80 (.58 to .92), loss 0.500, 7 steps"
    assert shown["folds"] == (
        "3 of 3: 54 of 60, .90 (.80 to .95) all together; mean accuracy .90, "
        "spread 0.100 (one standard deviation)"
    )
    assert "start 0" not in shown  # no step of the run itself was taken
    content = run_as_json(run)["cross_validation"]
    assert content["accuracies"] == [0.9, 0.8, 1.0] and content["reason"] == "done"
    assert content["mean"] == pytest.approx(0.9) and content["accuracy"] == pytest.approx(0.9)


def test_folds_that_were_stopped_say_how_many_are_done(journal: JournalWriter) -> None:
    journal.note("folds_began", folds=3)
    fold(journal, 1, 18)
    end(journal, folds=3, reason="paused")
    journal.close()
    assert result_text(read_run(journal.path)) == "1 of 3 folds, .90 (.70 to .97)"
    assert page(journal)["state"].startswith("paused: 1 of 3 folds are done")


def test_a_second_cross_validation_replaces_the_first(journal: JournalWriter) -> None:
    for folds in (2, 3):
        for number in range(1, folds + 1):
            fold(journal, number, 10 * folds - 10, folds=folds)  # as 0.1.0 wrote them
        end(journal, folds=folds, reason="done")
    run = read_run(journal.path)
    assert run.folds is not None
    assert (run.folds.folds, run.folds.accuracies) == (3, [1.0, 1.0, 1.0])


def test_the_best_validation_comes_before_the_folds(journal: JournalWriter) -> None:
    step(journal, 0.7)
    journal.note(
        "validated",
        **{"start": 0, "step": 1, "epoch": 1, "correct": 9, "total": 10, "loss": 0.3},
        **{"yardstick": False, "best": True},
    )
    journal.note("train_ended", start=0, step=1, reason="done")
    fold(journal, 1, 18)
    end(journal, folds=3, reason="paused")
    journal.close()
    run = read_run(journal.path)
    assert run.state == "done" and result_text(run).startswith("9 of 10")
    assert {"best", "fold 1", "folds"} <= {name for name, _ in run_page(run)}


# --- like with like -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([0.9], "1 step, loss 0.900 ("),
        ([0.9, 0.5], "2 steps, loss 0.900 in the first, 0.500 in the last ("),
        ([3.0, 9.0, 1.0], "3 steps, loss 3.000 in the first, 1.000 in the last ("),
        ([2.0, 1.0, 9.0, 0.5, 0.3], "mean loss 1.500 in the first 2, 0.400 in the last 2"),
        ([2.0] * 5 + [7.0] + [1.0] * 5, "mean loss 2.000 in the first 5, 1.000 in the last 5"),
        ([1.0, float("nan"), 1.0, 1.0], "mean loss nan in the first 2, 1.000 in the last 2"),
    ],
)
def test_show_compares_as_many_first_as_last_steps(
    journal: JournalWriter, losses: list[float], told: str
) -> None:
    step(journal, *losses)
    assert told in page(journal)["start 0"]
