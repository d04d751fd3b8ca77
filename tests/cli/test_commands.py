"""The command line from outside: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.command_line import SMALL, events_named, open_terminal, refused, run, strict
from tests.support.driven_session import draw_images
from tl_tui import __version__
from tui.cli.main import COMMANDS

# --- saying what it is --------------------------------------------------------------------------


def test_version_is_printed(environment: dict[str, str]) -> None:
    assert run("--version", env=environment).stdout == f"tl-tui {__version__}\n"


def test_help_names_commands_options_keys_and_examples(environment: dict[str, str]) -> None:
    told = run("--help", env=environment).stdout
    for word in (
        "layers",
        "train",
        "predict",
        "evaluate",
        "export",
        "doctor",
        "fetch",
        "--data",
        "--trainable",
        "Examples",
        "space",
    ):
        assert word in told


@pytest.mark.parametrize("command", [*COMMANDS])
def test_each_command_has_help(command: str, environment: dict[str, str]) -> None:
    told = run(command, "--help", env=environment)
    assert told.returncode == 0
    assert f"tl-tui {command}" in told.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, environment: dict[str, str]) -> None:
    assert "_TL_TUI_COMPLETE" in run("completion", shell, env=environment).stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [("tl-tui tr", "train"), ("tl-tui --ar", "--arch"), ("tl-tui train --st", "--steps")],
)
def test_completion_offers_commands_and_options(
    words: str, offered: str, environment: dict[str, str]
) -> None:
    asked = {
        "_TL_TUI_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    assert f"plain,{offered}" in run(env=environment | asked).stdout.splitlines()


# --- refusing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lyers"], "did you mean tl-tui layers?"),
        (["--arhc", "resnet18"], "'--arch'"),
        (["--arch", "resnet18", "train"], "write the command first: tl-tui train"),
        (["train", "--data", "nowhere"], "--data nowhere: there is no such folder"),
        (["train", "--data", "file"], "--data file is a file"),
        (["train", "--run-dir", "file"], "--run-dir file is a file"),
        (["train", "--batch-size", "1"], "'--batch-size'"),
        (["train", "--steps", "0"], "'--steps'"),
        (["train", "--lr", "nan"], "--lr nan"),
        (["train", "--lr", "-1"], "--lr -1.0"),
        (["train", "--strategy", "lats-stage"], "'last-stage'"),
        (["layers", ".", "--data", "."], "given twice"),
        ([], "needs a terminal"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
        (["engine"], "For a folder named engine, write ./engine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_refused_before_an_engine_starts(
    arguments: list[str], told: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = run(*arguments, env=environment, cwd=tmp_path)
    if arguments == ["engine"]:
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr
    else:
        assert told in refused(done)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--arch", "resnet81"], "did you mean"),
        (["--trainable", "layer9"], "layer"),
        (["--batch-size", "400"], "only 24 training images"),
        (["--device", "tpu"], "choose auto, cpu, cuda, cuda:N or mps"),
        (["--weights", "demo", "--arch", "resnet34"], "is a resnet18"),
        (["--weights", "cut.pth"], "truncated"),
        (["--weights", "IMAGENET1K_V9"], "did you mean IMAGENET"),
        (["--data", "empty"], "no class folders"),
        (["--data", "single"], "only one class"),
        (["--run-dir", "file/run"], "is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_values_found_by_the_engine_are_refused_with_one_sentence(
    arguments: list[str],
    told: str,
    environment: dict[str, str],
    tmp_path: Path,
    images: Path,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "cut.pth").write_bytes(b"PK\3\4 and no more")
    (tmp_path / "empty").mkdir()
    draw_images(tmp_path / "single", train=2, val=1)
    for folder in (tmp_path / "single").glob("*/light"):
        for image in folder.iterdir():
            image.unlink()
        folder.rmdir()
    given = {"--data": str(images), "--weights": "none", "--device": "cpu", "--image-size": "32"}
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    words = [word for pair in given.items() for word in pair]
    done = run("train", "--json", *words, env=environment, cwd=tmp_path)
    assert told in refused(done)
    assert not list((tmp_path / f"tl-tui-{os.getuid()}").glob("*.sock"))


def test_weights_that_cannot_be_downloaded_are_refused_with_where_to_put_them(
    environment: dict[str, str], tmp_path: Path, images: Path
) -> None:
    """Refused connections stand in for a machine without internet."""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = run("train", images, "--device", "cpu", env=environment | nowhere)
    sentence = refused(done)
    assert "resnet18-f37072fd.pth" in sentence
    assert str(tmp_path / "torch" / "hub" / "checkpoints") in sentence
    assert "--weights none" in sentence


# --- layers -------------------------------------------------------------------------------------


def test_layers_json_has_parameters_and_what_trains(
    environment: dict[str, str], images: Path
) -> None:
    done = run(
        "layers", images, *SMALL, "--json", "--trainable", "layer2.0.conv1,fc", env=environment
    )
    (stack,) = strict(done.stdout)
    layers = {layer["name"]: layer for layer in stack["layers"]}
    assert list(layers)[:2] == ["conv1", "layer1.0"] and list(layers)[-1] == "fc"
    assert layers["fc"] == {
        "name": "fc",
        "kind": "Linear",
        "params": 512 * 2 + 2,
        "trainable": True,
        "trainable_params": 512 * 2 + 2,
        "role": "classes",
    }
    assert layers["conv1"]["trainable"] is False
    assert layers["layer2.0"]["trainable"] == "partial"
    assert layers["layer2.0"]["trainable_params"] == 64 * 128 * 3 * 3
    assert stack["params"] == sum(layer["params"] for layer in stack["layers"])


def test_layers_prints_a_table(environment: dict[str, str], images: Path, tmp_path: Path) -> None:
    done = run("layers", images, *SMALL, "--strategy", "last-stage", env=environment)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["layer4.1", "BasicBlock", "4,720,640", "train", "4,720,640", "objects"] in lines
    assert ["layer3.1", "BasicBlock", "1,180,672", "frozen", "0", "parts"] in lines
    assert not (tmp_path / "state").exists()  # only looked


# --- train --------------------------------------------------------------------------------------


def test_train_json_reports_steps_validation_and_checkpoints(
    environment: dict[str, str], images: Path, tmp_path: Path
) -> None:
    done = run(
        *("train", images, *SMALL, "--json", "--steps", "3", "--strategy", "last-stage"),
        *("--run-dir", tmp_path / "run"),
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = strict(done.stdout)
    assert lines[0]["event"] == "opened"
    assert lines[0]["run_dir"] == str(tmp_path / "run")
    assert events_named(lines, "began") == [{"event": "began", "step": 0, "to_step": 3}]
    steps = events_named(lines, "step")
    assert [step["step"] for step in steps] == [1, 2, 3]
    for step in steps:
        assert set(step) == {
            *("event", "step", "epoch", "loss", "correct", "batch", "seconds", "lr_factor"),
            "layers",
        }
        assert (step["epoch"], step["lr_factor"]) == (1, 1.0)
        reach = {layer["name"]: layer["reach"] for layer in step["layers"]}
        assert {name for name in reach if reach[name] == "updated"} == {
            "layer4.0",
            "layer4.1",
            "fc",
        }
        assert set(reach.values()) == {"updated", "unreached"}
        conv1 = step["layers"][0]
        assert (conv1["name"], conv1["grad_norm"], conv1["nonfinite"]) == ("conv1", None, 0)
    (validation,) = events_named(lines, "validation")
    assert (validation["step"], validation["epoch"], validation["total"]) == (3, 1, 12)
    assert (validation["chance"], validation["majority"]) == (0.5, 0.5)
    assert validation["majority_class"] in ("dark", "light")
    shares = validation["per_class"]
    assert list(shares) == ["dark", "light"]
    assert validation["accuracy"] == pytest.approx(sum(shares.values()) / 2)
    low, high = validation["interval"]
    assert 0 <= low <= validation["accuracy"] <= high <= 1
    assert (validation["best"], validation["skipped_images"]) == (True, 0)
    for saved in events_named(lines, "checkpoint"):
        assert (saved["step"], saved["failure"]) == (3, None)
        assert Path(saved["path"]).is_file()
    assert {saved["name"] for saved in events_named(lines, "checkpoint")} == {"best", "last"}
    assert lines[-1] == {"event": "ended", "step": 3, "reason": "done"}
    assert {"config.json", "journal.jsonl", "engine.log", "checkpoints"} == {
        path.name for path in (tmp_path / "run").iterdir()
    }


def test_train_follows_a_configuration_file_with_a_plan(
    environment: dict[str, str], images: Path, tmp_path: Path
) -> None:
    """Every part of a longer run: plan, schedule, optimizer, changes to images, TensorBoard."""
    file = tmp_path / "job.toml"
    file.write_text(
        f'data = {json.dumps(str(images))}\nrun-dir = "out"\nweights = "none"\n'
        'image-size = 32\nbatch-size = 4\ndevice = "cpu"\nplan = "lp-ft"\nplan-epochs = 1\n'
        'epochs = 9\noptimizer = "adamw"\nlr = 1e-3\nlr-schedule = "one-cycle"\n'
        'augmentation = "light"\nbalance = true\ntensorboard = true\n'
    )
    done = run("train", "--config", file, "--epochs", "2", "--json", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = strict(done.stdout)
    assert lines[0]["recipe"]["optimizer"] == "adamw" and lines[0]["recipe"]["balance"] is True
    head, full = lines[0]["plan"]["phases"]
    assert (head["trainable"], head["steps"], full["after_step"]) == (["fc"], 6, 6)
    steps = events_named(lines, "step")
    assert [step["epoch"] for step in steps] == [1] * 6 + [2] * 6
    learnt = [
        {row["name"] for row in step["layers"] if row["reach"] == "updated"} for step in steps
    ]
    assert learnt[:6] == [{"fc"}] * 6 and all(len(names) == 10 for names in learnt[6:])
    factors = [step["lr_factor"] for step in steps]
    assert factors[0] == pytest.approx(1 / 25) and max(factors) > 0.9
    assert factors[:6] == factors[6:]  # a cycle for each phase
    assert [line["epoch"] for line in events_named(lines, "validation")] == [1, 2]
    (mask,) = [line for line in events_named(lines, "mask") if line["why"] == "plan lp-ft: full"]
    assert len(mask["trainable"]) == 10
    assert list((tmp_path / "out" / "tensorboard" / "start-0").glob("*.tfevents.*"))
    assert (tmp_path / "out" / "checkpoints").is_dir()


def test_train_with_a_labels_file_and_an_unreadable_image(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folder = draw_images(tmp_path / "pictures")
    rows = ["path,label"]
    for image in sorted(folder.glob("train/*/*.png")):
        name = "[bold]Käse" if image.parent.name == "dark" else "zwei\x1b[31m"
        rows.append(f"{image.relative_to(folder)},{name}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "train" / "dark" / "003.png").write_bytes(b"\x89PNG and no more")
    words = ("train", folder, *SMALL, "--labels", tmp_path / "labels.csv", "--epochs", "1")
    done = run(*words, "--json", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = strict(done.stdout)
    (validation,) = events_named(lines, "validation")
    assert len(validation["per_class"]) == 2 and "[bold]Käse" in validation["per_class"]
    (skipped,) = events_named(lines, "image_skipped")
    assert skipped["path"].endswith("003.png") and validation["skipped_images"] == 1
    done = run(*words, env=environment)
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert "1 image was skipped." in done.stdout and "  [bold]Käse" in done.stdout


def test_unmeasured_steps_have_no_layers(environment: dict[str, str], images: Path) -> None:
    done = run(
        *("train", images, *SMALL, "--json", "--steps", "3", "--probe-every", "2"),
        env=environment,
    )
    steps = [line for line in strict(done.stdout) if line["event"] == "step"]
    assert ["layers" in step for step in steps] == [True, False, True]


def test_a_loss_that_is_not_finite_is_reported_in_strict_json(
    environment: dict[str, str], images: Path
) -> None:
    done = run(
        *("train", images, *SMALL, "--json", "--steps", "3", "--lr", "1e18"),
        *("--strategy", "full"),
        env=environment,
    )
    assert done.returncode == 1
    lines = strict(done.stdout)
    (refused,) = [line for line in lines if line["event"] == "step_not_applied"]
    assert refused["loss"] in ("nan", "inf") and refused["resume"] is None
    assert [line["event"] for line in lines[-2:]] == ["checkpoint", "ended"]
    assert lines[-1]["reason"] == "failed"


def test_train_prints_plain_lines_and_ends_with_the_caption(
    environment: dict[str, str], images: Path
) -> None:
    done = run(
        *("train", images, *SMALL, "--steps", "2", "--probe-every", "1"),
        *("--trainable", "layer2,fc"),
        env=environment,
    )
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    measured = [line for line in lines if line.startswith("epoch ")]
    assert len(measured) == 2
    assert measured[0].startswith("epoch 1/1 step 1/2  loss ")
    assert "3 updated, 4 passed, 3 unreached" in measured[-1]
    told = r"Epoch 1, validation: \d+ of 12, \S+ \(\S+ to \S+\); chance .50, majority .50 \(dark\)"
    assert re.search(told, done.stdout)
    assert re.search(r"^Step 2 taught .*layer2", done.stdout, re.MULTILINE)
    assert re.search(r"^  dark +\d of 6, ", done.stdout, re.MULTILINE)
    assert re.search(r"^Last checkpoint, after step 2: /", done.stdout, re.MULTILINE)


def test_train_draws_a_progress_bar_on_a_terminal(
    environment: dict[str, str], images: Path
) -> None:
    command = ["train", images, *SMALL, "--steps", "4", "--strategy", "last-stage"]
    with open_terminal(*command, env=environment) as terminal:
        assert terminal.wait_exit() == 0
        bar = terminal.line(r"epoch 1/1 step 4/4")
        assert "━" in bar and "loss " in bar
        assert "chance .50, majority .50" in " ".join(terminal.text.split())
        assert re.search(r"Step 4 taught .*layer4", terminal.text)
        raw = bytes(terminal.raw)
        assert raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l") > 0  # the cursor is back


def test_layers_uses_ascii_on_a_terminal_without_unicode(
    environment: dict[str, str], images: Path
) -> None:
    command = ["layers", images, *SMALL]
    with open_terminal(*command, rows=40, env=environment | {"TERM": "linux"}) as terminal:
        assert terminal.wait_exit() == 0
        assert re.search(r"fc +Linear", terminal.text)
        assert terminal.text.isascii()


@pytest.mark.parametrize("option", ["--steps", "--seed", "--batch-size", "--image-size"])
def test_a_number_of_more_than_64_bits_is_refused(option: str, environment: dict[str, str]) -> None:
    done = run("train", option, "99999999999999999999", env=environment)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert option in done.stderr
