"""What `tl-tui train` prints of a run, and how it ends; the engine replays what each test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pseudo_terminal import Terminal
from tests.support.replayed_session import Replay
from tests.support.stack_messages import measured, opened, owners_named
from tests.support.train_replay import (
    PLAN,
    PROGRAM,
    RUN,
    SESSION,
    Train,
    lines_of,
    sent,
    step,
    strict,
    validated,
    write,
)
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import (
    MaskPlanned,
    PlanChanged,
)
from tl_tui.protocol.training import (
    TrainEnded,
)

# --- JSON lines ---------------------------------------------------------------------------------


def test_json_lines_of_a_run(train: Train) -> None:
    done = train(RUN, "--json")
    assert (done.returncode, done.stderr) == (1, ""), "the weights of its end are not saved"
    assert [line["event"] for line in strict(done.stdout)] == [
        *("opened", "began", "step", "step", "image_skipped", "validation", "checkpoint"),
        *("checkpoint", "mask", "cycle", "step", "cycle", "validation", "checkpoint", "ended"),
    ]
    assert lines_of(done, "began") == [{"step": 0, "to_step": 16}]
    first, second, _ = lines_of(done, "step")
    assert (first["epoch"], first["lr_factor"], first["loss"]) == (1, 0.5, 0.7)
    assert "layers" in first and "layers" not in second
    best, last = lines_of(done, "validation")
    low, high = best.pop("interval")
    assert (round(low, 2), round(high, 2)) == (0.8, 0.94)
    assert best == {
        "epoch": 1,
        "step": 8,
        "loss": 0.312,
        "accuracy": 71 / 80,
        "correct": 71,
        "total": 80,
        "balanced_accuracy": (1 + 31 / 40) / 2,
        "chance": 0.5,
        "majority": 0.5,
        "majority_class": "hot dog",
        "per_class": {"hot dog": 1.0, "not hot dog": 31 / 40},
        "best": True,
        "skipped_images": 0,
    }
    assert (last["best"], last["skipped_images"]) == (False, 2)
    assert lines_of(done, "checkpoint") == [
        {"name": "best", "step": 8, "path": "runs/test/best.pt", "failure": None},
        {"name": "last", "step": 8, "path": "runs/test/last.pt", "failure": None},
        {
            "name": "last",
            "step": 16,
            "path": "runs/test/last.pt",
            "failure": "no space left on the device",
        },
    ]
    (mask,) = lines_of(done, "mask")
    assert mask == {
        "trainable": [row.name for row in SESSION.stack.rows],
        "why": "plan lp-ft: full",
    }
    assert lines_of(done, "cycle") == [
        {"after_step": 8, "steps": 8, "why": "plan lp-ft: full"},
        {"after_step": 9, "steps": 16, "why": "by hand"},
    ]
    assert lines_of(done, "ended") == [{"step": 16, "reason": "done"}]


def test_a_plan_and_a_mask_in_parts(train: Train) -> None:
    part = owners_named(SESSION.stack, "fc", "layer2.0.conv1")
    events: list[AnyEvent] = [
        PlanChanged(plan=PLAN, reason="asked for"),
        PlanChanged(plan=None, reason="the mask was changed by hand"),
        MaskPlanned(trainable=part, reason="x"),
        TrainEnded(start=0, step=0, reason="done"),
    ]
    done = train(events, "--json", session=opened(plan=PLAN))
    (whole,) = lines_of(done, "opened")
    head, full = whole["plan"]["phases"]
    assert (head["name"], head["trainable"], head["epoch"]) == ("head", ["fc"], 1)
    assert (full["after_step"], len(full["trainable"])) == (8, 10)
    laid, left = lines_of(done, "plan")
    assert laid == whole["plan"] | {"why": "asked for"}
    assert left == {"name": None, "phases": [], "why": "the mask was changed by hand"}
    assert lines_of(done, "mask")[0]["trainable"] == ["layer2.0.conv1", "fc"]


def test_not_finite_numbers_are_strings(train: Train) -> None:
    broken = {"fc": measured("updated", float("inf"), float("nan"), nonfinite=7)}
    events: list[AnyEvent] = [
        step(1, loss=float("nan"), rows=broken),
        validated(1, 1, 40, loss=float("inf")),
        TrainEnded(start=0, step=1, reason="done"),
    ]
    done = train(events, "--json")
    (taken,), (result,) = lines_of(done, "step"), lines_of(done, "validation")
    assert (taken["loss"], result["loss"]) == ("nan", "inf")
    assert taken["layers"][-1]["grad_norm"] == "inf"
    assert taken["layers"][-1]["update_ratio"] == "nan"
    assert taken["layers"][0]["grad_norm"] is None


def test_a_class_without_validation_images_is_null(train: Train) -> None:
    session = opened(classes=("a", "b", "c"), majority_class=1)
    result = validated(1, 1, 60, per_class=((20, 20), (40, 60), (0, 0)))
    done = train([result, TrainEnded(start=0, step=1, reason="done")], "--json", session=session)
    (line,) = lines_of(done, "validation")
    assert line["per_class"] == {"a": 1.0, "b": 40 / 60, "c": None}
    assert (line["chance"], line["majority"]) == (1 / 3, 60 / 80)
    assert line["majority_class"] == "b"
    assert line["balanced_accuracy"] == pytest.approx((1 + 40 / 60) / 2)


# --- plain lines --------------------------------------------------------------------------------


def test_plain_lines_of_a_run(train: Train) -> None:
    done = train(RUN, session=opened(plan=PLAN))
    assert done.returncode == 1
    assert done.stderr == "Skipped flowers/a\\x1b[31m.jpg: truncated\n"
    lines = done.stdout.splitlines()
    assert "Plan lp-ft: head from epoch 1 on, then full from epoch 2 on." in lines
    (first, second) = [line for line in lines if line.startswith("epoch ")]
    assert first.startswith("epoch 1/2 step 1/16  loss 0.700  27 of 32 correct")
    assert first.endswith("1 updated, 9 unreached  3 min 20 s left")
    assert second.startswith("epoch 2/2 step 9/16") and second.endswith("  3 s left")
    assert (
        "Epoch 1, validation: 71 of 80, .89 (.80 to .94); chance .50, majority .50 (hot dog); "
        "loss 0.312. Best so far." in lines
    )
    (worse,) = [line for line in lines if line.startswith("Epoch 2, validation: 60 of 80")]
    assert worse.endswith("loss 0.312. 2 images were skipped.")
    assert "From step 3 on all 10 layers train (plan lp-ft: full)." in lines
    assert "The learning rate schedule restarts over 16 steps (by hand)." in lines
    assert "plan lp-ft: full" not in " ".join(line for line in lines if "schedule" in line)
    assert "The checkpoint last could not be saved: no space left on the device" in lines
    end = lines.index("By class (best validation, epoch 1):")
    assert lines[end - 1].endswith("as it was.") or "Step 9 taught" in " ".join(lines[:end])
    assert lines[end + 1 :] == [
        "  hot dog      40 of 40, 1.00 (.91 to 1.00)",
        "  not hot dog  31 of 40, .78 (.62 to .88)",
        "Best checkpoint, after step 8: runs/test/best.pt",
        "Last checkpoint, after step 8: runs/test/last.pt",
        "The training after step 8 was not saved.",
        "Run: runs/test",
    ]


def test_of_many_classes_the_ten_worst_are_printed(train: Train) -> None:
    names = tuple(f"class {number:02}" for number in range(30))
    counts = tuple((number % 11, 10) if number else (0, 0) for number in range(30))
    result = validated(4, 1, sum(right for right, _ in counts), total=290, per_class=counts)
    done = train(
        [result, TrainEnded(start=0, step=4, reason="done")],
        session=opened(classes=names, majority_class=5),
    )
    lines = done.stdout.splitlines()
    first = lines.index("The 10 worst of 30 classes (validation, epoch 1):") + 1
    listed = lines[first : first + 10]
    assert lines[first + 10] == "Run: runs/test"
    assert listed[0].startswith("  class 11  0 of 10, .00") and listed[1].startswith("  class 22")
    rights = [int(line.split()[2]) for line in listed]
    assert rights == sorted(rights) == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert "class 00" not in done.stdout  # it has no images


HOSTILE = (
    "[bold red]Käse[/]",
    "\x1b[2J\x1b]0;gone\x07",
    "zwei\nZeilen",
    "x" * 300,
    "日本語のクラス名",
    "\u202egnirts",
)


def test_control_characters_in_class_names_are_escaped(train: Train) -> None:
    session = opened(classes=HOSTILE, majority_class=1, data="\x1b[31mred")
    result = validated(1, 1, 6, total=12, per_class=tuple((1, 2) for _ in HOSTILE))
    events: list[AnyEvent] = [result, TrainEnded(start=0, step=1, reason="done")]
    done = train(events, session=session)
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout and "\u202e" not in done.stdout
    for told in ("[bold red]Käse[/]", "zwei\\nZeilen", "\\x1b[2J", "日本語のクラス名"):
        assert told in done.stdout
    listed = [
        line for line in done.stdout.splitlines() if line.endswith("1 of 2, .50 (.09 to .91)")
    ]
    assert len(listed) == len(HOSTILE) and all(len(line) < 80 for line in listed)
    (line,) = lines_of(train(events, "--json", session=session), "validation")
    assert tuple(line["per_class"]) == HOSTILE


def test_output_works_without_unicode(train: Train) -> None:
    session = opened(classes=("Käse", "Brot"))
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    events: list[AnyEvent] = [validated(1, 1, 60), TrainEnded(start=0, step=1, reason="done")]
    done = train(events, session=session, env=ascii_only)
    assert done.returncode == 0 and "K\\xe4se" in done.stdout
    done = train(events, "--json", session=session, env=ascii_only)
    assert lines_of(done, "validation")[0]["majority_class"] == "Käse"


# --- the progress bar ---------------------------------------------------------------------------


def on_a_terminal(environment: dict[str, str], columns: int, text: str) -> tuple[str, bytes]:
    with Terminal([*PROGRAM, "train"], columns=columns, rows=40, env=environment) as terminal:
        terminal.wait_exit()
        assert text in terminal.text
        return terminal.text, bytes(terminal.raw)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_bar_has_epochs_and_time_left(
    columns: int, environment: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path, Replay([opened(run_dir="r" * 130)], RUN))
    text, raw = on_a_terminal(environment, columns, "epoch 2/2 step 9/16")
    (bar,) = [line for line in text.splitlines() if "step 9/16" in line]
    assert "━" in bar and "loss 0.431" in bar and bar.rstrip().endswith("3 s left")
    assert ("updated" in bar) == (columns == 120)
    folded = " ".join(text.split())
    assert "71 of 80, .89 (.80 to .94); chance .50, majority .50 (hot dog)" in folded
    assert b"Run: " + b"r" * 130 in raw  # the terminal wraps it, so that it copies in one piece
    assert "Best so far." in folded and "2 images were skipped." in folded
    assert "By class (best validation, epoch 1):" in folded
    assert raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l") > 0  # the cursor is back


def test_class_names_are_not_read_as_markup(environment: dict[str, str], tmp_path: Path) -> None:
    session = opened(classes=HOSTILE)
    result = validated(1, 1, 6, total=12, per_class=tuple((1, 2) for _ in HOSTILE))
    events: list[AnyEvent] = [step(1), result, TrainEnded(start=0, step=1, reason="done")]
    write(tmp_path, Replay([session], events))
    text, raw = on_a_terminal(environment, 80, "[bold red]Käse[/]")
    assert b"\x1b[2J" not in raw and b"\x1b]0;" not in raw


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.thorough)])
def test_the_bar_is_drawn_in_an_encoding_that_lacks_it(
    encoding: str, environment: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path, Replay([opened(classes=("Käse", "日本"), data="/d/" + "long/" * 40)], RUN))
    env = environment | {"PYTHONIOENCODING": encoding}
    text, raw = on_a_terminal(env, 80, "epoch 2/2 step 9/16")
    (bar,) = [line for line in text.splitlines() if "step 9/16" in line]
    asked = "é±".encode()  # sent to the terminal to see how wide it draws them
    assert "Traceback" not in text and raw.replace(asked, b"").decode(encoding) and "---" in bar
    assert b"/d/" + b"long/" * 40 in raw  # the terminal wraps it, so that it copies in one piece


# --- folds --------------------------------------------------------------------------------------


# --- what is asked of the engine ----------------------------------------------------------------


def test_every_choice_reaches_the_engine(train: Train, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").touch()
    file = tmp_path / "run.toml"
    file.write_text(
        'data = "."\nlabels = "labels.csv"\nstrategy = "full"\nepochs = 3\nmomentum = 0.5\n'
        'tensorboard = true\nbalance = true\nlr = 1\nprobe-every = 7\ntrainable = ["fc"]\n'
    )
    options = (
        "--config run.toml --plan lp-ft --plan-epochs 2 --lr-schedule one-cycle --warmup 0.2 "
        "--optimizer adamw --lr-pretrained 0.01 --lr-decay 0.9 --weight-decay 0.02 "
        "--augmentation light --precision bf16 --steps 40 --no-balance --json "
        "--feature-cache half --feature-cache-gib 0.5 --execution eager "
        "--memory-format channels-last"
    )
    done = train(RUN, *options.replace("run.toml", str(file)).split())
    assert (done.returncode, done.stderr) == (1, "")
    opening, asking = sent(tmp_path)
    config = {key: value for key, value in opening["config"].items() if value is not None}
    assert (asking["type"], asking["steps"]) == ("Train", 40)
    assert config == {
        "data": str(tmp_path),
        "labels": str(tmp_path / "labels.csv"),
        "arch": "resnet18",
        "weights": "auto",
        "plan": "lp-ft",
        "plan_epochs": 2,
        "device": "auto",
        "optimizer": "adamw",
        "lr": 1.0,
        "lr_pretrained": 0.01,
        "lr_decay": 0.9,
        "weight_decay": 0.02,
        "lr_schedule": "one-cycle",
        "warmup": 0.2,
        "steps": 40,
        "augmentation": "light",
        "balance": False,
        "precision": "bf16",
        "seed": 0,
        "probe_every": 7,
        "execution": "eager",
        "memory_format": "channels-last",
        "feature_cache": "half",
        "feature_cache_gib": 0.5,
        "checkpoint_seconds": 0.0,
        "tensorboard": True,
        "deterministic": False,
        "image_rules": 2,
        "describe_only": False,
    }


@pytest.mark.parametrize(("options", "every"), [(["--json"], 1), ([], 10)])
def test_json_measures_every_step(
    options: list[str], every: int, train: Train, tmp_path: Path
) -> None:
    train(RUN, *options)
    opening, asking = sent(tmp_path)
    assert opening["config"]["probe_every"] == every
    assert asking["steps"] is None  # to the end of the schedule


# --- ending -------------------------------------------------------------------------------------
