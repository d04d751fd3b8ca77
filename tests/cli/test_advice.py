"""What a sentence advises works in the state in which it is said."""

from __future__ import annotations

import errno
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import torchvision
from torch import nn

from engine.model.weights import choose_weights
from tests.support.driven_session import DrivenSession
from tests.support.stack_messages import opened
from tests.support.trained_runs import SMALL
from tl_tui.common.errors import Problem, write_remedy
from tl_tui.common.metrics import diverged
from tl_tui.connect.oom_kills import oom_kills
from tl_tui.protocol.commands import ResumeRun, SetRecipe, StartOver, Train
from tl_tui.protocol.training import (
    CheckpointSaved,
    StepNotApplied,
    StepTaken,
    TrainEnded,
    Validated,
)
from tl_tui.runs.continuing import how_to_continue
from tl_tui.runs.journal_reader import RunProblem
from tl_tui.runs.journal_writer import RunDirectoryProblem, check_run_dir
from tl_tui.runs.run_reader import config_to_resume
from tui.cli.main import command_line
from tui.cli.output.train.run_summary import RunSummary
from tui.cli.output.train.sentences import resume_command
from tui.text.divergence import diverged_sentence

# --- commands -------------------------------------------------------------------------------------


def resume_of(sentence: str) -> ResumeRun:
    """Assert that a sentence has a command that resumes a run, and that the run can be resumed."""
    command = re.search(r"tl-tui resume [^`;]+?(?=`| with a higher| continues|$)", sentence)
    assert command is not None, sentence
    words = shlex.split(command.group())[1:]
    with command_line.make_context("tl-tui", words) as context:
        name, resume, rest = command_line.resolve_command(context, words)
        assert name == "resume" and resume is not None
        with resume.make_context("resume", rest) as parsed:
            fields = {
                key: value for key, value in parsed.params.items() if key in ("run", "checkpoint")
            } | {"trainable": parsed.params["trainable"]}
    request = ResumeRun(id=1, **fields)
    config_to_resume(request)
    return request


@pytest.fixture
def run(a_run: Path, tmp_path: Path) -> Path:
    """Return a folder like the run's, whose files are links to it."""
    folder = tmp_path / "a run"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "journal.jsonl"):
        (folder / name).write_bytes((a_run / name).read_bytes())
    for file in (a_run / "checkpoints").iterdir():
        (folder / "checkpoints" / file.name).symlink_to(file)
    return folder


def kept(run: Path, *names: str) -> None:
    for file in (run / "checkpoints").iterdir():
        if file.stem not in names:
            file.unlink()


@pytest.mark.parametrize(
    ("names", "checkpoint"), [(("last", "best"), "last"), (("last",), "last"), (("best",), "best")]
)
@pytest.mark.parametrize("screen", [True, False])
def test_how_a_run_continues(
    names: tuple[str, ...], checkpoint: str, screen: bool, run: Path
) -> None:
    kept(run, *names)
    sentence = how_to_continue(run, screen=screen)
    assert resume_of(sentence).checkpoint == checkpoint
    assert ("with a higher --steps" in sentence) == (not screen), "the run has reached its end"


def test_a_run_without_a_checkpoint_is_not_to_be_resumed(run: Path, tmp_path: Path) -> None:
    kept(run)
    for folder in (run, tmp_path / "none"):
        assert how_to_continue(folder) == "it saved no checkpoint, so it cannot be continued"
    with pytest.raises(RunDirectoryProblem) as caught:
        check_run_dir(run)
    assert "resume" not in str(caught.value)


def test_a_run_of_an_old_format_is_not_to_be_resumed(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "format": 1}))
    assert "resume " not in how_to_continue(run)
    with pytest.raises(RunProblem, match="earlier tl-tui"):
        config_to_resume(ResumeRun(id=1, run=str(run)))


def test_a_run_directory_that_is_taken_can_be_resumed(run: Path) -> None:
    with pytest.raises(RunDirectoryProblem) as caught:
        check_run_dir(run)
    resume_of(str(caught.value))


def test_resuming_a_run_that_failed_is_not_advised(run: Path) -> None:
    journal = run / "journal.jsonl"
    line = b'{"event":"train_ended","time":1.0,"start":0,"step":3,"reason":"failed"}\n'
    lines = journal.read_bytes() + line
    journal.unlink()
    journal.write_bytes(lines)
    with pytest.raises(RunDirectoryProblem) as caught:
        check_run_dir(run)
    assert "resume" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "best", "advised"),
    [
        ({"memory": True}, False, "last"),
        ({"memory": True, "trainable": opened().strategies["feature-extraction"]}, False, "last"),
        ({"memory": False, "remedy": "rates"}, True, "best"),
        ({"memory": False, "remedy": "rates"}, False, None),
        ({"memory": False, "remedy": "weights"}, True, None),
        ({"memory": False, "remedy": "images"}, True, None),
        ({"memory": False}, True, None),
    ],
)
def test_a_refused_step_advises_a_command_only_if_it_helps(
    fields: dict[str, Any], best: bool, advised: str | None, run: Path
) -> None:
    """The same steps from the same weights would end in the same way."""
    kept(run, *(("last", "best") if best else ("last",)))
    summary = RunSummary(msgspec.structs.replace(opened(), run_dir=str(run)))
    event = StepNotApplied(id=0, start=0, step=3, sentence="", **fields)
    command = resume_command(summary, event)
    if advised is None:
        assert command is None
        return
    assert command is not None
    request = resume_of(command)
    assert request.checkpoint == advised
    assert request.trainable == (("fc",) if "trainable" in fields else None)


# --- weights --------------------------------------------------------------------------------------


def test_the_advised_way_to_save_weights_gives_a_file_that_loads(tmp_path: Path) -> None:
    model = torchvision.models.get_model(SMALL["arch"])
    torch.save(model, tmp_path / "whole.pth")
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    for name in ("whole.pth", "script.pt"):
        with pytest.raises(Problem) as caught:
            choose_weights(SMALL["arch"], str(tmp_path / name), embedded_demo=False)
        code = re.search(r"`(torch\.save.*)`", str(caught.value))
        assert code is not None
        code_here = code[1].replace("'weights.pth'", "out").replace("'script.pt'", "script")
        out, script = tmp_path / f"{name}.out", str(tmp_path / "script.pt")
        exec(code_here, {"torch": torch, "model": model, "out": out, "script": script})
        assert out.stat().st_size
    weights = choose_weights(SMALL["arch"], str(tmp_path / "whole.pth.out"), embedded_demo=False)
    assert weights.pretrained


# --- the session ----------------------------------------------------------------------------------


def nan_weight(driven: DrivenSession) -> None:
    assert driven.session.run is not None
    with torch.no_grad():
        next(driven.session.run.trainer.model.parameters())[0] = float("nan")


def lower_rates(driven: DrivenSession) -> None:
    driven.do(StartOver)
    recipe = driven.opened.recipe
    driven.do(SetRecipe, recipe=msgspec.structs.replace(recipe, lr_head=0.001, lr_pretrained=0.001))


def other_weights(driven: DrivenSession) -> None:
    driven.do(StartOver, weights="none")


@pytest.mark.parametrize(
    ("config", "broken", "remedy", "words", "follow"),
    [
        ({"lr": 1e30}, None, "rates", "Start over with lower learning rates.", lower_rates),
        ({}, nan_weight, "weights", "start from other weights.", other_weights),
    ],
)
def test_the_advice_after_a_step_that_is_not_finite_can_be_followed(
    config: dict[str, Any],
    broken: Callable[[DrivenSession], None] | None,
    remedy: str,
    words: str,
    follow: Callable[[DrivenSession], None],
    images: Path,
    tmp_path: Path,
) -> None:
    driven = DrivenSession(data=str(images), run_dir=str(tmp_path / "run"), **SMALL | config)
    if broken is not None:
        broken(driven)
    driven.do(Train, steps=3)
    failed = driven.last(StepNotApplied)
    assert failed.remedy == remedy and failed.sentence.endswith(words)
    assert (failed.step == 1) == (remedy == "weights"), "no rate was used before the first step"
    assert "best" not in {event.name for event in driven.all(CheckpointSaved)}
    assert driven.last(TrainEnded).reason == "failed"
    follow(driven)
    driven.do(Train, steps=2)
    assert driven.last(TrainEnded).reason == "done"
    driven.session.close()


def test_a_loss_that_was_huge_before_the_first_update_is_not_blamed_on_rates(
    images: Path, tmp_path: Path
) -> None:
    driven = DrivenSession(data=str(images), run_dir=str(tmp_path / "run"), **SMALL)
    assert driven.session.run is not None
    with torch.no_grad():
        driven.session.run.trainer.stack.owners[-1].parameters[0].mul_(1e30)
    driven.do(Train, steps=1)
    assert "Start from other weights." in diverged_sentence(1, driven.last(StepTaken).loss, 2)
    nan_weight(driven)
    driven.do(Train, steps=3)
    failed = driven.last(StepNotApplied)
    assert failed.step == 2 and failed.remedy == "weights"
    driven.session.close()


def test_a_diverged_validation_is_never_the_best(images: Path, tmp_path: Path) -> None:
    driven = DrivenSession(data=str(images), run_dir=str(tmp_path / "run"), **SMALL | {"lr": 1e9})
    driven.do(Train, steps=1)
    result = driven.last(Validated)
    assert diverged(result.loss, 2) and not result.best
    assert not diverged(600.0, 2) and diverged(float("nan"), 2) and diverged(6e13, 1000)
    driven.session.close()


# --- the machine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, ""), "free some space"),
        (OSError(errno.EDQUOT, ""), "free some space"),
        (OSError(errno.EACCES, ""), "make the folder writable"),
        (OSError(errno.EROFS, ""), "make the folder writable"),
        (OSError(errno.EIO, ""), "check the disk"),
        (OSError(errno.EFBIG, ""), "raise the limit on the size of files (ulimit -f)"),
        (RuntimeError("I/O error"), "check the disk"),
        (MemoryError(), "close other programs, because memory ran out"),
    ],
)
def test_the_advice_on_a_file_that_cannot_be_written_follows_from_the_error(
    error: Exception, words: str, tmp_path: Path
) -> None:
    assert write_remedy(error, tmp_path / "not made yet") == words
    if isinstance(error, RuntimeError):
        assert write_remedy(error, tmp_path, needed=1 << 60) == "free some space"


def test_kills_for_lack_of_memory_are_counted_by_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    assert oom_kills(proc, groups) is None
    (proc / "vmstat").write_text("nr_free_pages 12\noom_kill 3\n")
    assert oom_kills(proc, groups) == 3
    (proc / "self" / "cgroup").write_text("4:memory:/old\n0::/job/one\n")
    (groups / "job" / "one").mkdir(parents=True)
    (groups / "job" / "one" / "memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    assert oom_kills(proc, groups) == 1
