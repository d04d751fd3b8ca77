"""Runs on the command line: listed, shown, gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.studies.long_journal import write
from engine.model import freezing
from engine.training import checkpoint
from tests.support.command_line import isolated_environment, run
from tl_tui.common import json_codec
from tl_tui.runs.journal_writer import JournalWriter
from tl_tui.runs.run_reader import find_run, read_run

pytestmark = pytest.mark.xdist_group("runs")  # its runs are trained once

SMALL = (
    *("--arch", "shufflenet_v2_x0_5", "--weights", "none", "--image-size", "32"),
    *("--batch-size", "8", "--strategy", "last-stage"),
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As the fixture for all tests, for the runs that are trained once."""
    return isolated_environment(tmp_path_factory.mktemp("home"))


def losses(run: Path) -> list[tuple[int, float]]:
    return read_run(run).starts[-1].losses


@pytest.fixture(scope="module")
def runs(images: Path, environment: dict[str, str], tmp_path_factory) -> dict[str, Path]:
    """Two runs of two epochs."""
    folder = tmp_path_factory.mktemp("runs")
    made = {"whole": folder / "whole", "parts": folder / "parts"}
    recipe = ("--augmentation", "light", "--lr-schedule", "cosine", "--epochs", "2")
    for name in made:
        done = run(
            "train",
            images,
            *SMALL,
            *recipe,
            "--run-dir",
            made[name],
            env=environment,
        )
        assert (done.returncode, done.stderr) == (0, "")
    return made


def test_a_resumed_run_equals_one_that_never_stopped(
    images: Path, runs: dict[str, Path], environment: dict[str, str], tmp_path: Path
) -> None:
    """In another process, with other threads for decoding, two epochs and then two more."""
    longer, resumed = tmp_path / "longer", tmp_path / "resumed"
    recipe = ("--augmentation", "light", "--epochs", "2")
    assert not run(
        "train", images, *SMALL, *recipe, "--run-dir", resumed, env=environment
    ).returncode
    done = run("resume", resumed, "--epochs", "4", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Goes on after step 6, from its checkpoint last." in done.stdout
    recipe = ("--augmentation", "light", "--epochs", "4")
    assert not run(
        "train", images, *SMALL, *recipe, "--run-dir", longer, env=environment
    ).returncode
    assert losses(resumed) == losses(longer) and len(losses(longer)) == 12
    one, other = (
        checkpoint.read(run / "checkpoints" / "last.safetensors") for run in (resumed, longer)
    )
    assert not freezing.changed_tensors(one.snapshot.tensors, other.snapshot.tensors)


def test_a_finished_run_is_not_resumed_without_more_steps(
    runs: dict[str, Path], environment: dict[str, str]
) -> None:
    done = run("resume", runs["parts"], "--steps", "6", env=environment)
    assert done.returncode == 2 and "has already taken 6 steps" in done.stderr
    shown = run("show", runs["parts"], env=environment)
    assert shown.returncode == 0
    assert "done: it reached the requested number of steps" in shown.stdout
    assert "best" in shown.stdout and not shown.stderr
    more = run("resume", runs["parts"], env=environment)
    assert more.returncode == 2 and "has come to its end, step 6" in more.stderr
    less = run("resume", runs["parts"], "--epochs", "2", env=environment)
    assert less.returncode == 2 and "has already taken 6 steps" in less.stderr
    strange = run("resume", runs["parts"], "--strategy", "upper", env=environment)
    assert strange.returncode == 2 and "choose one of" in strange.stderr


def test_runs_are_listed(runs: dict[str, Path], environment: dict[str, str]) -> None:
    folder = runs["whole"].parent
    listed = run("runs", folder, "--json", env=environment)
    assert listed.returncode == 0
    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    assert {line["name"] for line in lines} == {"whole", "parts"}
    assert all(line["state"] == "done" and line["steps"] == 6 for line in lines)
    assert all(0 <= line["best"]["accuracy"] <= 1 and line["bytes"] > 1e6 for line in lines)
    table = run("runs", folder, env=environment | {"COLUMNS": "140"})
    assert "whole" in table.stdout and "shufflenet_v2_x0_5" in table.stdout


def test_runs_without_any_run(environment: dict[str, str], tmp_path: Path) -> None:
    done = run("runs", env=environment | {"XDG_STATE_HOME": str(tmp_path)})
    assert done.returncode == 0 and done.stdout.startswith("There are no runs in")


def test_a_damaged_run_is_named_and_the_others_are_listed(
    runs: dict[str, Path], environment: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(runs["whole"], tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text("{")
    done = run("runs", tmp_path, "--json", env=environment)
    assert done.returncode == 1 and "bad/config.json is damaged" in done.stderr
    assert json.loads(done.stdout)["name"] == "good"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "nowhere"), "There is no run nowhere"),
        (("resume", "nowhere"), "There is no run nowhere"),
        (("resume", ".", "--steps", "3", "--epochs", "3"), "leave one of them out"),
        (("resume", "/"), "holds no run"),
        (("runs", "nowhere"), "there is no such folder"),
    ],
)
def test_missing_runs_and_folders_are_refused(
    arguments, words: str, environment: dict[str, str]
) -> None:
    done = run(*arguments, env=environment)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


def test_a_run_is_found_by_the_beginning_of_its_name(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "tl-tui" / "runs"
    for name in ("20260101-a", "20260102-b"):
        shutil.copytree(runs["whole"], folder / name)
    assert find_run("20260102").name == "20260102-b"
    with pytest.raises(ValueError, match="may be any of 2 runs"):
        find_run("2026")


def test_a_journal_with_nan_in_it_is_read(tmp_path: Path) -> None:
    record = JournalWriter(tmp_path / "run")
    record.begin({"arch": "resnet18", "weights": "random"})
    for step in (1, 2, 3):
        record.note("step", start=0, step=step, loss=float("nan") if step == 2 else 0.5)
    record.close()
    (start,) = read_run(tmp_path / "run").starts
    assert [step for step, _ in start.losses] == [1, 2, 3]
    assert str(start.losses[1][1]) == "nan"
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    assert json_codec.loads(lines[1])["loss"] != json_codec.loads(lines[1])["loss"]


def test_a_journal_of_many_steps_stays_small(tmp_path: Path) -> None:
    """100,000 steps at the default cadence are to stay under 50 MB; here a fiftieth of them."""
    write(tmp_path / "run", 2000)
    assert (tmp_path / "run" / "journal.jsonl").stat().st_size < 1e6
    assert read_run(tmp_path / "run").steps == 2000


def test_a_journal_is_written_again_if_its_directory_was_removed(tmp_path: Path) -> None:
    record, told = JournalWriter(tmp_path / "run"), []
    record.on_failure = told.append
    record.begin({"weights": "random"})
    record.note("step", start=0, step=1, loss=0.5)
    shutil.rmtree(tmp_path / "run")
    record.note("step", start=0, step=2, loss=0.25)
    record.sync()
    record.note("step", start=0, step=3, loss=0.125)
    record.close()
    (sentence,) = told
    assert "was removed" in sentence and "put back" in sentence
    run = read_run(tmp_path / "run")
    assert run.starts[-1].losses == [(1, 0.5), (2, 0.25), (3, 0.125)] and run.torn == 0
