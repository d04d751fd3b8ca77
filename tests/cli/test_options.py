"""Options and run files together: what goes before what, what cannot go together, what help says.

What is asked for is seen by the engine's side in `test_cli_reports`; here nothing is started.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from tests.support.stack_messages import opened
from tl_tui.common.errors import Problem
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.session import Plan, PlanPhase
from tl_tui.settings.config_file import OPTIONS, key_of, write_config_file
from tui.app.config_from_state import current_config
from tui.cli import main
from tui.cli.click_sections import SectionedCommand
from tui.cli.options.run_options import run_options
from tui.state.run_state import RunState


@click.command("train", cls=SectionedCommand)
@run_options
def asked(config: RunConfig, probe_every: int | None) -> RunConfig:
    return config


def config_of(*arguments: str | Path) -> RunConfig:
    config: RunConfig = asked.main([str(word) for word in arguments], standalone_mode=False)
    return config


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one sentence that the whole program refuses these arguments of train with."""
    assert main.main(["train", *map(str, arguments)]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    (sentence,) = errors.splitlines()
    return sentence


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("run.toml")


# --- every choice -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["layers", "--help"]])
def test_help_names_every_choice(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main.main(arguments) == 0
    told = capsys.readouterr().out
    for field in OPTIONS:
        assert f"--{key_of(field)} " in told or f"--[no-]{key_of(field)} " in told
    assert "--config FILE.toml" in told
    assert max(map(len, told.splitlines())) <= 80


def test_help_names_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever an option can be set to stands in its help."""
    main.main(["train", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    choices = [p.type for p in asked.params if isinstance(p.type, click.Choice)]
    assert len(choices) == 9
    for choice in choices:
        for name in choice.choices:
            assert name in told.replace("- ", "-")


def test_a_written_file_asks_for_the_same(file: Path, tmp_path: Path) -> None:
    """From the command line to a file and back."""
    (tmp_path / "flowers").mkdir()
    (tmp_path / "labels.csv").touch()
    given = config_of(
        *("flowers", "--labels", "labels.csv", "--balance", "--plan", "gradual"),
        *("--plan-epochs", "2", "--steps", "9", "--lr", "1e-3", "--tensorboard"),
        *("--weights", "mine.safetensors", "--run-dir", "out", "--precision", "bf16"),
    )
    write_config_file(given, file)
    again = config_of("--config", file)
    here = {"data": "flowers", "labels": "labels.csv", "run_dir": "out"}
    here["weights"] = "mine.safetensors"
    for field in OPTIONS:
        expected = getattr(given, field)
        if field in here:
            expected = str(tmp_path / here[field])
        assert getattr(again, field) == expected, field


@pytest.mark.parametrize("options", ["", "--steps 9 --folds 3 --run-dir out", "--plan lp-ft"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("planned", [True, False])
def test_what_the_app_saves_can_be_trained(
    options: str, optimizer: str, planned: bool, file: Path
) -> None:
    """Whatever was chosen on the command line and in the app since."""
    given = config_of(*options.split())
    session = opened()
    head = PlanPhase(name="head", trainable=session.trainable, after_step=0, steps=8, epoch=1)
    plan = Plan(name="gradual", phases=(head,)) if planned else None
    recipe = msgspec.structs.replace(session.recipe, optimizer=optimizer, epochs=10)
    state = RunState()
    state.apply(msgspec.structs.replace(session, plan=plan, recipe=recipe))
    saved = current_config(given, state)
    write_config_file(saved, file)
    again = config_of("--config", file)
    assert again == saved and again.run_dir is None
    assert again.plan == ("gradual" if planned else None) and again.optimizer == optimizer
    assert again.steps == given.steps


# --- the command line goes before the file ------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("epochs = 3", "", {"epochs": 3}),
        ("epochs = 3", "--epochs 5", {"epochs": 5}),
        ("epochs = 3", "--steps 5", {"epochs": None, "steps": 5}),
        ("steps = 3", "--epochs 5", {"epochs": 5, "steps": None}),
        ("balance = true", "", {"balance": True}),
        ("balance = true", "--no-balance", {"balance": False}),
        ('strategy = "full"', "--plan lp-ft", {"strategy": None, "plan": "lp-ft"}),
        ('trainable = ["fc"]', "--plan lp-ft", {"trainable": None, "plan": "lp-ft"}),
        (
            'plan = "gradual"\nplan-epochs = 2',
            "--strategy full",
            {"strategy": "full", "plan": None, "plan_epochs": None},
        ),
        ('plan = "gradual"', "--folds 3", {"plan": None, "folds": 3}),
        ('plan = "gradual"', "--plan-epochs 3", {"plan": "gradual", "plan_epochs": 3}),
        ("momentum = 0.5", "--optimizer adamw", {"momentum": None, "optimizer": "adamw"}),
        ('trainable = ["layer2", "fc"]', "", {"trainable": ("layer2", "fc")}),
        ('trainable = ["fc"]', "--trainable layer1,,layer2", {"trainable": ("layer1", "layer2")}),
        ("lr = 1", "--lr 0.5", {"lr": 0.5}),
        ('arch = "resnet50"', "", {"arch": "resnet50"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_before_what(
    text: str, options: str, expected: dict[str, Any], file: Path
) -> None:
    file.write_text(text)
    config = config_of("--config", file, *options.split())
    assert {field: getattr(config, field) for field in expected} == expected


def test_a_folder_goes_before_the_files(file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    file.write_text('data = "theirs"')
    assert config_of("mine", "--config", file).data == "mine"


# --- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            "--plan lp-ft --strategy full",
            "--plan and --strategy: a plan is a sequence of strategies",
        ),
        ("--plan lp-ft --trainable fc", "--plan and --trainable: "),
        ("--folds 3 --plan gradual", "--folds and --plan: every fold trains with one strategy"),
        ("--steps 3 --epochs 2", "--epochs and --steps: both set where the run ends"),
        ("--plan-epochs 2", "--plan-epochs: it sets the length of a plan's phases; add --plan."),
        (
            "--labels x.csv",
            "--labels: its paths are relative to an image folder; name that with --data",
        ),
        ("--optimizer adamw --momentum 0.9", "--momentum applies only to sgd; leave it out"),
        ("--lr inf", "--lr inf: it must be a finite number, 0 or more."),
        ("--lr-pretrained -1", "--lr-pretrained -1.0: it must be"),
        ("--weight-decay nan", "--weight-decay nan: it must be"),
        ("--lr-decay 1.5", "--lr-decay 1.5: it must be a number from 0 to 1."),
        ("--momentum 1", "--momentum 1.0: it must be a number from 0 to 0.9999."),
        ("--warmup 1", "--warmup 1.0: it must be a number from 0 to 0.9."),
        ("--epochs 0", "'--epochs'"),
        ("--folds 1", "'--folds'"),
        ("--plan-epochs 0 --plan lp-ft", "'--plan-epochs'"),
        ("--plan lpft", "'lp-ft', 'gradual'"),
        ("--strategy bn", "'bn-only'"),
        ("--lr-schedule linear", "'constant', 'cosine', 'one-cycle'"),
        ("--optimizer adam", "'sgd', 'adamw'"),
        ("--augmentation heavy", "'none', 'light', 'standard'"),
        ("--precision fp16", "'fp32', 'bf16'"),
        ("--data . --labels nowhere.csv", "--labels nowhere.csv: there is no such file."),
        ("--data . --labels .", "--labels . is a folder; name a CSV file"),
        ("--config nowhere.toml", "nowhere.toml: it cannot be read (No such file or directory)"),
        ("--config .", ".: it cannot be read (Is a directory)"),
    ],
)
def test_what_is_refused(
    options: str, told: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(capsys, *options.split())


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("epochs = 0", "", "run.toml: epochs = 0: "),
        ("seed = 99999999999999999999", "", "run.toml: seed = 99999999999999999999: "),
        ('strategy = "lats-stage"', "", "run.toml: strategy = 'lats-stage': "),
        ("lr = -1", "", "run.toml: --lr -1.0: it must be a finite number, 0 or more."),
        ("warmup = 3", "--warmup 0.1", "run.toml: --warmup 3.0"),
        ("epochs = 2\nsteps = 3", "", "run.toml: --epochs and --steps"),
        ('plan = "lp-ft"\nstrategy = "full"', "", "run.toml: --plan and --strategy"),
        ("plan-epochs = 2", "", "run.toml: --plan-epochs: "),
        ('labels = "x.csv"', "", "run.toml: --labels: "),
        ('optimizer = "adamw"\nmomentum = 0.9', "", "run.toml: --momentum applies only to sgd"),
        ('optimizer = "adamw"', "--momentum 0.9", "--momentum applies only to sgd"),
        ('data = "nowhere"', "", "nowhere: there is no such folder"),
        ('run-dir = "run.toml"', "", "run.toml is a file; name a new folder."),
        ("epoch = 2", "", "there is no key 'epoch'; did you mean epochs?"),
    ],
)
def test_what_is_refused_in_a_file(
    text: str, options: str, told: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)
    sentence = refused(capsys, "--config", file, *options.split())
    assert told in sentence
    if not options or "warmup" in options:
        assert sentence.startswith("tl-tui: run.toml: ")


def test_a_folder_whose_name_is_no_text(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.fsdecode(b"bl\xfcte")
    os.mkdir(folder)
    assert "bl\\udcfcte: this name is not UTF-8" in refused(capsys, folder)
    with pytest.raises(Problem):
        config_of("--run-dir", folder)
