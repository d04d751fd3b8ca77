"""Processes that are killed, ended or stopped, or lose their socket."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.fault_table import Place, fault
from tests.faults.training import (
    STEPS,
    Training,
    checkpoints_are_whole,
    ends,
    gone_on_to_the_end,
    journal_is_readable,
    losses,
    reference,
    resume,
    train,
)


def _at_random(place: Place, training: Training) -> int | None:
    """Let a run train for a random time. Return the engine's id, or None if it has ended."""
    if not training.read("opened"):
        return None
    if not training.read("step", place.random.randrange(4)):
        return None
    time.sleep(place.random.random() * 0.4)  # to hit any moment: a step, a checkpoint
    return training.engine


def _lives(place: Place, run: Path) -> Iterator[tuple[Training, int]]:
    """Start a run, resume it after each kill, and yield it with its engine at random moments.

    Stops when the run is done, when it was killed before it had saved anything, or after
    `place.lives` processes.
    """
    for life in range(place.lives):
        saved = (run / "checkpoints" / "last.safetensors").exists()
        if life and not saved:
            return
        with resume(place, run) if saved else train(place, run) as training:
            engine = _at_random(place, training)
            if engine is None:
                return
            yield training, engine
        if not (run / "journal.jsonl").exists() or len(losses(run)) == STEPS:
            return


@fault("engine killed (SIGKILL) at a random moment", full=100)
def engine_killed(place: Place) -> int:
    run, kills = place.folder / "run", 0
    for training, engine in _lives(place, run):
        try:
            os.kill(engine, signal.SIGKILL)
        except ProcessLookupError:
            break
        code, said = training.end()
        done = any(line["event"] == "ended" for line in training.lines)
        assert code == 1 or (done and code == 0), (code, said)
        assert done or "killed (SIGKILL)" in said, said
        kills += 1
        if (run / "journal.jsonl").exists():
            checkpoints_are_whole(run)
            journal_is_readable(run)
    gone_on_to_the_end(place, run)
    return kills


@fault("command killed (SIGKILL) at a random moment", full=100)
def command_killed(place: Place) -> int:
    run, kills = place.folder / "run", 0
    for training, engine in _lives(place, run):
        training.process.kill()
        kills += 1
        assert ends(engine), "the engine outlived the command"
        if (run / "journal.jsonl").exists() and len(losses(run)) < STEPS:
            last = run / "checkpoints" / "last.safetensors"
            assert last.exists(), "it saves before it ends"
    gone_on_to_the_end(place, run)
    return kills


@fault("SIGTERM, SIGUSR1, SIGHUP: a checkpoint, exit code 75", full=10)
def asked_to_end(place: Place) -> None:
    run = place.folder / "run"
    with train(place, run) as training:
        training.read("step", 1 + place.random.randrange(6))
        training.process.send_signal(
            place.random.choice([signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
        )
        code, said = training.end()
    taken = [line["step"] for line in training.lines if line["event"] == "step"]
    saved = [line["step"] for line in training.lines if line["event"] == "checkpoint"]
    assert code == 75 or (code == 0 and taken[-1] == STEPS), (code, said)
    assert max(saved) == taken[-1], "every step that was taken is saved"
    gone_on_to_the_end(place, run)


@fault("SIGTERM to the engine itself", full=10, like="SIGTERM to the command")
def engine_asked_to_end(place: Place) -> None:
    run = place.folder / "run"
    with train(place, run) as training:
        training.read("step", 1 + place.random.randrange(6))
        engine = training.engine
        assert engine is not None
        os.kill(engine, signal.SIGTERM)
        code, _ = training.end()
        assert code in (0, 1)
    gone_on_to_the_end(place, run)


@fault("engine or command stopped for a while (SIGSTOP)", full=10)
def stopped_for_a_while(place: Place) -> None:
    run = place.folder / "run"
    with train(place, run) as training:
        training.read("step", 1 + place.random.randrange(6))
        engine = training.engine
        pid = engine if engine is not None and place.random.random() < 0.5 else training.process.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1 + 2 * place.random.random())
        os.kill(pid, signal.SIGCONT)
        code, said = training.end()
    assert code == 0, said
    assert losses(run) == reference(place)


@fault("socket file removed under way", full=10)
def socket_file_removed(place: Place) -> None:
    run = place.folder / "run"
    with train(place, run) as training:
        training.read("step", 1 + place.random.randrange(6))
        for file in place.folder.rglob("*.sock"):
            file.unlink()
        code, said = training.end()
    assert code == 0, said
    assert losses(run) == reference(place)
