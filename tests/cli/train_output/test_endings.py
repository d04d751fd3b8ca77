"""How tl-tui train ends: signals, refused steps, failures, and cross-validation."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.train_replay import (
    SESSION,
    Train,
    lines_of,
    saved,
    sent,
    step,
    strict,
    validated,
)
from tl_tui.protocol.checks import CrossValidationEnded, FoldValidated
from tl_tui.protocol.events import AnyEvent, EngineFailed, Refused
from tl_tui.protocol.training import (
    StepNotApplied,
    TrainBegan,
    TrainEnded,
)


def fold(number: int, correct: int) -> FoldValidated:
    return FoldValidated(
        fold=number,
        folds=3,
        correct=correct,
        total=20,
        loss=0.5,
        per_class=((10, 10), (correct - 10, 10)),
        steps=30,
        cached="layer4.1" if number == 2 else "",
        seconds=61.0,
    )


FOLDS: list[AnyEvent] = [
    fold(1, 18),
    fold(2, 20),
    fold(3, 16),
    CrossValidationEnded(folds=3, correct=54, total=60, accuracies=(0.9, 1.0, 0.8), reason="done"),
]


def test_folds_are_requested_and_printed_one_by_one(train: Train, tmp_path: Path) -> None:
    done = train(FOLDS, "--folds", "3")
    assert done.returncode == 0
    opening, asking = sent(tmp_path)
    assert opening["config"]["folds"] == 3
    assert (asking["type"], asking["folds"]) == ("CrossValidate", 3)
    lines = done.stdout.splitlines()
    assert lines[1:4] == [
        "Fold 1 of 3: 18 of 20, .90 (.70 to .97); loss 0.500; 30 steps in 1 min 01 s.",
        "Fold 2 of 3: 20 of 20, 1.00 (.84 to 1.00); loss 0.500; 30 steps in 1 min 01 s, "
        "features cached up to layer4.1.",
        "Fold 3 of 3: 16 of 20, .80 (.58 to .92); loss 0.500; 30 steps in 1 min 01 s.",
    ]
    assert lines[4:] == [
        "3 folds: mean accuracy .90, spread 0.100 (one standard deviation).",
        "All folds together: 54 of 60, .90 (.80 to .95).",
        "Run: runs/test",
    ]


def test_folds_in_json(train: Train) -> None:
    done = train(FOLDS, "--folds", "3", "--json")
    first, second, _ = lines_of(done, "fold")
    assert (first["fold"], first["folds"], first["accuracy"]) == (1, 3, 0.9)
    assert first["per_class"] == {"hot dog": 1.0, "not hot dog": 0.8}
    assert (first["cached"], second["cached"]) == (None, "layer4.1")
    (whole,) = lines_of(done, "folds")
    assert whole["accuracies"] == [0.9, 1.0, 0.8]
    assert (whole["mean"], whole["spread"]) == pytest.approx((0.9, 0.1))
    assert (whole["correct"], whole["total"], whole["accuracy"]) == (54, 60, 0.9)
    assert [round(end, 2) for end in whole["interval"]] == [0.8, 0.95]
    assert [line["event"] for line in strict(done.stdout)[-2:]] == ["folds", "ended"]


SHORT: list[AnyEvent] = [TrainBegan(start=0, step=0, to_step=16), step(1), step(2)]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)]
)
def test_a_signal_ends_the_command_after_the_checkpoint(
    number: signal.Signals, code: int, train: Train
) -> None:
    at_close: list[AnyEvent] = [TrainEnded(start=0, step=2, reason="paused"), saved("last", 2)]
    done = train(SHORT, at_close=at_close, then=number)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines()[-4:] == [
        "Stopped after step 2, before the end of the run.",
        "`tl-tui resume runs/test` continues from step 2.",
        "Last checkpoint, after step 2: runs/test/last.pt",
        "Run: runs/test",
    ]


def refused_step(**fields: Any) -> list[AnyEvent]:
    told = {"id": 0, "start": 0, "step": 3, "memory": False, "sentence": "Step 3 was not applied."}
    return [
        *SHORT,
        StepNotApplied(**told | fields),
        saved("last", 2),
        TrainEnded(start=0, step=2, reason="failed"),
    ]


def test_a_step_that_is_not_applied_ends_the_run_with_how_to_resume(train: Train) -> None:
    done = train(refused_step(loss=float("nan"), row=2))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "Step 3 was not applied." in lines
    assert (
        "Nothing was validated, because training failed before its first validation" in done.stdout
    )
    assert "resume" not in done.stdout, "there are no other weights to resume from"


def test_the_best_weights_are_offered_where_there_are_any(train: Train) -> None:
    failed = refused_step(loss=float("nan"), row=2, remedy="rates")
    command = "tl-tui resume runs/test --checkpoint best --screen"
    done = train(failed)
    assert (
        "`tl-tui train` with a lower --lr (here it is 0.01) starts over."
        in done.stdout.splitlines()
    )
    assert "resume" not in done.stdout
    (told,) = lines_of(train(failed, "--json"), "step_not_applied")
    assert told["resume"] is None
    events = [*SHORT, validated(2, 1, 60, best=True), saved("best", 2), *failed[3:]]
    done = train(events)
    assert f"`{command}` opens the run with its best weights so far, where " in done.stdout
    assert "Nothing was validated" not in done.stdout
    (told,) = lines_of(train(events, "--json"), "step_not_applied")
    assert told["resume"] == command


def test_a_loss_beyond_all_reason_is_remarked_on_once(train: Train) -> None:
    events: list[AnyEvent] = [
        TrainBegan(start=0, step=0, to_step=16),
        step(1, loss=0.7),
        step(2, loss=6e13),
        step(3, loss=7e13),
        validated(3, 1, 40, loss=6e13),
        TrainEnded(start=0, step=3, reason="done"),
    ]
    lines = train(events).stdout.splitlines()
    remarks = [line for line in lines if line.startswith("Training has diverged")]
    assert remarks == [
        "Training has diverged: the loss of step 2 is 6.00e+13, and guessing has 0.693. Start over "
        "with lower learning rates."
    ]
    (told,) = [line for line in lines if "validation:" in line]
    assert told.endswith("loss 6.00e+13. Training has diverged: guessing has the loss 0.693.")


def test_a_harmless_notice_does_not_end_the_run(train: Train) -> None:
    notice = Refused(id=0, reason="Steps run without CUDA graphs: so.", harmless=True)
    events = [SHORT[0], notice, *SHORT[1:], TrainEnded(start=0, step=2, reason="done")]
    done = train(events)
    assert done.returncode == 0 and "Steps run without CUDA graphs: so." in done.stdout
    assert lines_of(train(events, "--json"), "note") == [{"text": notice.reason}]


def test_a_step_out_of_memory_reports_the_batch_size_that_fits_in_json(train: Train) -> None:
    head = tuple(SESSION.strategies["feature-extraction"])
    done = train(refused_step(memory=True, needed=5, available=3, trainable=head), "--json")
    assert done.returncode == 1
    (told,) = lines_of(done, "step_not_applied")
    assert (told["needed"], told["available"], told["fits_trainable"]) == (5, 3, ["fc"])
    assert told["resume"] == "tl-tui resume runs/test --trainable fc" and told["loss"] is None


def test_a_signal_in_json(train: Train) -> None:
    done = train(SHORT, "--json", at_close=[saved("last", 2)], then=signal.SIGTERM)
    assert done.returncode == 75
    assert [line["event"] for line in strict(done.stdout)][-2:] == ["checkpoint", "ended"]
    assert lines_of(done, "ended") == [{"step": 2, "reason": "stopped"}]


def test_a_signal_between_folds(train: Train) -> None:
    ended = CrossValidationEnded(
        folds=3, correct=38, total=40, accuracies=(0.9, 1.0), reason="paused"
    )
    done = train(FOLDS[:2], "--folds", "3", at_close=[ended], then=signal.SIGTERM)
    assert done.returncode == 75
    assert "Cross-validation ended early: 2 of 3 folds." in done.stdout
    assert "All folds together: 38 of 40, .95 (.83 to .99)." in done.stdout


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_failed_engine_is_reported_with_how_to_resume(json_lines: bool, train: Train) -> None:
    events: list[AnyEvent] = [*SHORT, saved("last", 2), EngineFailed(sentence="The GPU is lost.")]
    done = train(events, *(["--json"] if json_lines else []))
    assert (done.returncode, done.stderr) == (1, "tl-tui: The GPU is lost.\n")
    if json_lines:
        assert lines_of(done, "ended") == [{"step": 2, "reason": "failed"}]
    else:
        assert "Last checkpoint, after step 2: runs/test/last.pt" in done.stdout


def test_what_the_engine_refuses_has_exit_code_2(train: Train) -> None:
    done = train([Refused(id=2, reason="--folds 400: there are only 12 images.")], "--folds", "400")
    assert (done.returncode, done.stderr) == (2, "tl-tui: --folds 400: there are only 12 images.\n")


def test_failed_training_is_reported(train: Train) -> None:
    done = train([*SHORT, TrainEnded(start=0, step=2, reason="failed")])
    assert done.returncode == 1
    assert "Training failed after step 2." in done.stdout.splitlines()
